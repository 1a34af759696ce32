// @ts-check
// What plays, and how: the buttons under the waveform.
import { html, useEffect, useRef } from '../lib.js';
import { Problem } from '../api.js';
import { clock, number } from '../format.js';
import { t } from '../i18n.js';
import { Icon } from '../ui/icon.js';
import { IconButton } from '../ui/icon_button.js';
import { Failure } from '../ui/states.js';
import { RATES } from './player.js';
import { Waveform } from './waveform.js';

const SKIP_MS = 5000;
const LONG_MS = 600_000;

/** @param {{ player: Player, onHelp: () => void }} props */
export function PlayerBar({ player, onHelp }) {
  const state = player.state.value;
  if (state === 'gone') return html`<div class="player card"><${Gone} player=${player} /></div>`;
  const off = state !== 'ready';
  const drawn = !off && player.peaks.value;
  return html`
    <section class="player card" aria-label=${t('player.label')}>
      <div class=${drawn ? 'track drawn' : 'track'}>
        <${Sound} player=${player} />
        <${Waveform} player=${player} />
        <${Place} player=${player} off=${off} />
      </div>
      <div class="player-row">
        <${IconButton} size="" icon="skip_back" words=${t('player.back')} off=${off} act=${() => player.skip(-SKIP_MS)} />
        <${Play} player=${player} off=${off} />
        <${IconButton} size="" icon="skip_on" words=${t('player.on')} off=${off} act=${() => player.skip(SKIP_MS)} />
        <${Clock} player=${player} off=${off} />
        <span class="spread"></span>
        <${Volume} player=${player} />
        <${Pauses} player=${player} />
        <${Rate} player=${player} off=${off} />
        <${IconButton} icon="keyboard" size="" kind="keys-button" words=${t('keys.title')} act=${onHelp} />
      </div>
    </section>
  `;
}

// The element itself, unseen: in the page, so that the browser's own media keys and tools find it.
/** @param {{ player: Player }} props */
function Sound({ player }) {
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => place.current?.append(player.audio), [player]);
  return html`<div hidden ref=${place}></div>`;
}

/** @param {{ player: Player }} props */
function Gone({ player }) {
  const error = player.failure.value;
  if (error instanceof Problem && error.code === 'expired') return html`<p class="muted">${t('player.expired')}</p>`;
  return html`<${Failure} error=${error} />`;
}

/** @param {{ player: Player, off: boolean }} props */
function Play({ player, off }) {
  const playing = player.playing.value;
  const words = t(playing ? 'player.pause' : 'player.play');
  return html`
    <button class="primary play" aria-label=${words} title=${words} disabled=${off} onClick=${() => player.toggle()}>
      <${Icon} name=${playing ? 'pause' : 'play'} />
    </button>
  `;
}

/** @param {{ player: Player, off: boolean }} props */
function Clock({ player, off }) {
  if (off) return html`<span class="muted" role="status">${t('player.preparing')}</span>`;
  return html`<span class="clock">${clock(player.tick.value)} / ${clock(player.durationMs.value)}</span>`;
}

// Lies unseen over the waveform: what is clicked and dragged there, also by keyboard.
/** @param {{ player: Player, off: boolean }} props */
function Place({ player, off }) {
  const most = Math.max(1, player.durationMs.value);
  return html`
    <input
      type="range"
      class="place"
      min="0"
      max=${most}
      step=${most < LONG_MS ? 100 : 1000}
      value=${Math.min(player.tick.value, most)}
      disabled=${off}
      aria-label=${t('player.place')}
      aria-valuetext=${clock(player.tick.value)}
      onInput=${(/** @type {AnyEvent} */ event) => player.seek(Number(event.target.value))}
    />
  `;
}

/** @param {{ player: Player }} props */
function Volume({ player }) {
  const silent = player.muted.value || player.volume.value === 0;
  return html`
    <span class="volume">
      <${IconButton}
        icon=${silent ? 'muted' : 'speaker'}
        words=${t(silent ? 'player.unmute' : 'player.mute')}
        size=""
        act=${() => (silent ? player.setVolume(player.volume.value || 1) : player.toggleMuted())}
      />
      <input
        type="range"
        min="0"
        max="1"
        step="0.05"
        value=${player.muted.value ? 0 : player.volume.value}
        aria-label=${t('player.volume')}
        onInput=${(/** @type {AnyEvent} */ event) => player.setVolume(Number(event.target.value))}
      />
    </span>
  `;
}

/** @param {{ player: Player }} props */
function Pauses({ player }) {
  const change = (/** @type {AnyEvent} */ event) => player.setSkipsPauses(event.target.checked);
  return html`
    <label class="choice pauses">
      <input type="checkbox" checked=${player.skipsPauses.value} onChange=${change} />
      <span>${t('player.skip_pauses')}</span>
    </label>
  `;
}

/** @param {{ player: Player, off: boolean }} props */
function Rate({ player, off }) {
  return html`
    <label class="rate">
      <span class="hidden">${t('player.rate')}</span>
      <select disabled=${off} onChange=${(/** @type {AnyEvent} */ event) => player.setRate(Number(event.target.value))}>
        ${RATES.map(
          (rate) =>
            html`<option key=${rate} value=${rate} selected=${rate === player.rate.value}>${number(rate, 2)}×</option>`,
        )}
      </select>
    </label>
  `;
}
