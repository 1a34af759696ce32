// @ts-check
// The microphone: record, look at the level, stop, listen, send or throw away.
import { html, useEffect, useRef, useState } from '../lib.js';
import { clock, moment } from '../format.js';
import { t } from '../i18n.js';
import { Icon } from '../ui/icon.js';
import { Failure } from '../ui/states.js';
import { Recording, STATES, findLength, possible } from './recording.js';
import { add } from './uploads.js';

const BARS = 48;
const BAR_MS = 70;
/** @type {Record<string, string>} */
const REASONS = {
  NotAllowedError: 'microphone_denied',
  NotFoundError: 'microphone_missing',
  NotReadableError: 'microphone_busy',
};

export function Microphone() {
  const [state, setState] = useState(STATES.ready);
  const [failure, setFailure] = useState(/** @type {Explainable | null} */ (null));
  const [take, setTake] = useState(/** @type {File | null} */ (null));
  const recording = useRef(/** @type {Recording | null} */ (null));

  useEffect(() => () => recording.current?.release(), []);
  useLeaveGuard(state === STATES.recording || state === STATES.taken);

  const begin = async () => {
    setFailure(null);
    setState(STATES.asking);
    try {
      recording.current = await Recording.begin();
      setState(STATES.recording);
    } catch (error) {
      setState(STATES.ready);
      const { name, message } = error instanceof Error ? error : new Error(String(error));
      setFailure({ code: REASONS[name], message });
    }
  };
  const stop = async () => {
    if (!recording.current) return;
    const file = await recording.current.stop(`${t('microphone.name')} ${moment(new Date()).replace(/[/:\\]/g, '-')}`);
    recording.current = null;
    if (file.size === 0) {
      setFailure({ code: 'microphone_empty' });
      setState(STATES.ready);
      return;
    }
    setTake(file);
    setState(STATES.taken);
  };
  const discard = () => {
    setTake(null);
    setState(STATES.ready);
  };
  const send = () => {
    if (take) add([take]);
    discard();
  };

  if (!possible()) return html`<${Failure} error=${{ code: 'microphone_impossible' }} />`;
  return html`
    <div class="microphone">
      ${
        state === STATES.recording
          ? html`<${Running} recording=${recording.current} stop=${stop} />`
          : take
            ? html`<${Take} file=${take} send=${send} discard=${discard} />`
            : html`<${Ready} begin=${begin} asking=${state === STATES.asking} />`
      }
      ${failure && html`<${Failure} error=${failure} />`}
    </div>
  `;
}

/** @param {{ begin: () => void, asking: boolean }} props */
function Ready({ begin, asking }) {
  return html`
    <span class="empty-icon"><${Icon} name="microphone" /></span>
    <p class="drop-title">${t(asking ? 'microphone.asking' : 'microphone.ready')}</p>
    <p class="hint">${t('microphone.hint')}</p>
    <button class="primary" disabled=${asking} onClick=${begin}><${Icon} name="microphone" />${t('microphone.begin')}</button>
  `;
}

/** @param {{ recording: any, stop: () => void }} props */
function Running({ recording, stop }) {
  const [, redraw] = useState(0);
  const levels = useRef(Array(BARS).fill(0));
  const button = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    button.current?.focus();
    const timer = setInterval(() => {
      levels.current = [...levels.current.slice(1), recording.level()];
      redraw((n) => n + 1);
    }, BAR_MS);
    return () => clearInterval(timer);
  }, [recording]);
  return html`
    <p class="timer" role="timer"><span class="recording-dot" aria-hidden="true"></span>${clock(recording.elapsedMs())}</p>
    <svg class="levels" viewBox="0 0 ${BARS * 4} 48" preserveAspectRatio="none" role="img" aria-label=${t('microphone.level')}>
      ${levels.current.map((level, n) => {
        const height = Math.max(2, level * 48);
        return html`<rect key=${n} x=${n * 4 + 0.75} y=${24 - height / 2} width="2.5" height=${height} rx="1" />`;
      })}
    </svg>
    <button ref=${button} class="danger" onClick=${stop}><${Icon} name="stop" />${t('microphone.stop')}</button>
  `;
}

/** @param {{ file: File, send: () => void, discard: () => void }} props */
function Take({ file, send, discard }) {
  const [address, setAddress] = useState(/** @type {string | null} */ (null));
  useEffect(() => {
    const made = URL.createObjectURL(file);
    setAddress(made);
    return () => URL.revokeObjectURL(made);
  }, [file]);
  return html`
    <p class="drop-title">${t('microphone.listen')}</p>
    ${
      address &&
      html`<audio controls src=${address} aria-label=${file.name} onLoadedMetadata=${(/** @type {AnyEvent} */ event) => findLength(event.target)} />`
    }
    <div class="row">
      <button class="primary" onClick=${send}>${t('microphone.send')}</button>
      <button onClick=${discard}><${Icon} name="trash" />${t('microphone.discard')}</button>
    </div>
  `;
}

// What was recorded is only here: leaving the page would lose it.
/** @param {boolean} active */
function useLeaveGuard(active) {
  useEffect(() => {
    if (!active) return undefined;
    /** @param {Event} event */
    const guard = (event) => event.preventDefault();
    addEventListener('beforeunload', guard);
    return () => removeEventListener('beforeunload', guard);
  }, [active]);
}
