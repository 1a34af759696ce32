// @ts-check
// Sharing a transcript: makes links, shows each once, lists and revokes them.
import { html, useEffect, useRef, useState } from '../lib.js';
import { get, post, remove } from '../api.js';
import { moment } from '../format.js';
import { t } from '../i18n.js';
import { announce, report } from '../ui/announce.js';
import { Copy } from '../ui/copy.js';
import { Dialog } from '../ui/dialog.js';
import { useLoad } from '../ui/load.js';
import { Failure, Loading } from '../ui/states.js';

const DAYS = [1, 7, 30, 90, 365];

/** @typedef {ShareList & { silent: boolean }} Offer */

/** @param {string} id */
const pathOf = (id) => `v1/transcriptions/${id}/shares`;

// The links that there are, and what a new one may be.
/**
 * @param {string} id
 * @param {AbortSignal} signal
 * @returns {Promise<Offer>}
 */
async function offered(id, signal) {
  const [list, job] = await Promise.all([
    get(pathOf(id), {}, { signal }),
    get(`v1/transcriptions/${id}`, {}, { signal }),
  ]);
  return { ...list, silent: job.audio_deleted_at !== null };
}

/** @param {{ job: Job, close: () => void }} props */
export function ShareDialog({ job, close }) {
  const path = pathOf(job.id);
  const foot = useRef(/** @type {HTMLButtonElement | null} */ (null));
  const { data, failure, load } = useLoad((abort) => offered(job.id, abort), []);
  const [made, setMade] = useState(/** @type {NewShare | null} */ (null));
  /** @param {FormData} form */
  const make = async (form) => {
    const wanted = { expires_in_days: Number(form.get('days')), audio: form.get('audio') !== null };
    setMade(await post(path, wanted));
    await load();
  };
  /** @param {string} id */
  const revoke = async (id) => {
    try {
      await remove(`${path}/${id}`);
      announce(t('share.revoked'));
      if (made?.id === id) setMade(null);
      await load();
      foot.current?.focus(); // the button that had the focus is gone
    } catch (error) {
      report(error);
    }
  };
  return html`
    <${Dialog} title=${t('share.title')} close=${close}>
      <p>${t('share.why')}</p>
      ${failure && html`<${Failure} error=${failure} again=${load} />`}
      ${!data && !failure && html`<${Loading} />`}
      ${data && !data.sharing && html`<p class="notice">${t('share.off')}</p>`}
      ${data?.sharing && !made && html`<${NewLink} offer=${data} make=${make} />`}
      ${made && html`<${Made} share=${made} more=${() => setMade(null)} />`}
      ${data && data.data.length > 0 && html`<${Links} shares=${data.data} revoke=${revoke} />`}
      <div class="dialog-foot"><button ref=${foot} onClick=${close}>${t('dialog.close')}</button></div>
    <//>
  `;
}

/** @param {{ offer: Offer, make: (form: FormData) => Promise<void> }} props */
function NewLink({ offer, make }) {
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState(/** @type {unknown} */ (null));
  const { default_days: usual, max_days: most, silent } = offer;
  const days = [...new Set([...DAYS.filter((n) => n <= most), usual])].sort((a, b) => a - b);
  /** @param {AnyEvent} event */
  const send = async (event) => {
    event.preventDefault();
    setBusy(true);
    setFailure(null);
    try {
      await make(new FormData(event.target));
    } catch (error) {
      setFailure(error);
      setBusy(false);
    }
  };
  return html`
    <form class="stack" onSubmit=${send}>
      <label class="field">
        <span class="label">${t('share.expires')}</span>
        <select name="days">
          ${days.map((n) => html`<option key=${n} value=${n} selected=${n === usual}>${t('share.days', { n })}</option>`)}
        </select>
      </label>
      <label class="choice">
        <input type="checkbox" name="audio" disabled=${silent} />
        <span>${t('share.audio')}<br /><span class="hint">${t(silent ? 'share.audio_gone' : 'share.audio_why')}</span></span>
      </label>
      ${failure && html`<${Failure} error=${failure} />`}
      <div><button class="primary" type="submit" disabled=${busy}>${t('share.make')}</button></div>
    </form>
  `;
}

/** @param {{ share: NewShare, more: () => void }} props */
function Made({ share, more }) {
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => field.current?.focus(), []);
  /** @param {AnyEvent} event */
  const select = (event) => event.target.select();
  return html`
    <div class="stack" role="status">
      <p>${t('share.once', { time: moment(share.expires_at) })}</p>
      <input ref=${field} class="mono secret" readonly value=${share.url} aria-label=${t('share.link')} onFocus=${select} />
      <div class="row">
        <${Copy} text=${share.url} />
        <button class="quiet small" type="button" onClick=${more}>${t('share.another')}</button>
      </div>
    </div>
  `;
}

/** @param {{ shares: Share[], revoke: (id: string) => void }} props */
function Links({ shares, revoke }) {
  return html`
    <h3 id="share-links">${t('share.links')}</h3>
    <ul class="rows share-links" aria-labelledby="share-links">
      ${shares.map(
        (share) => html`
          <li key=${share.id} class="row">
            <span class="hint">${describe(share)}</span>
            <span class="spread"></span>
            <button class="quiet small" aria-label=${t('share.revoke_of', { time: moment(share.created_at) })}
              onClick=${() => revoke(share.id)}>${t('share.revoke')}</button>
          </li>
        `,
      )}
    </ul>
  `;
}

/** @param {Share} share */
function describe(share) {
  const parts = [
    t('share.since', { time: moment(share.created_at) }),
    t('share.until', { time: moment(share.expires_at) }),
  ];
  if (share.audio) parts.push(t('share.with_audio'));
  parts.push(t('share.views', { n: share.views }));
  if (share.last_used_at) parts.push(t('share.used', { time: moment(share.last_used_at) }));
  return parts.join(' · ');
}
