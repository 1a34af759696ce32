// @ts-check
// The picture of the recording. Drawn from the service's peaks: the browser downloads only what it plays.
import WaveSurfer from '../../vendor/wavesurfer.js';
import { html, useEffect, useRef } from '../lib.js';
import { look } from '../preferences.js';

const HEIGHT = 64;

// Louder is higher, but a quiet recording is not a line: the loudest moment fills the height.
/** @param {Peaks} peaks */
function scaled(peaks) {
  const highs = [];
  const lows = [];
  let most = 1;
  for (let place = 0; place < peaks.data.length; place += 2) {
    lows.push(-peaks.data[place]);
    highs.push(peaks.data[place + 1]);
    most = Math.max(most, -peaks.data[place], peaks.data[place + 1]);
  }
  return [highs.map((value) => value / most), lows.map((value) => value / most)];
}

/** @param {{ player: Player }} props */
export function Waveform({ player }) {
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  const peaks = player.peaks.value;
  const ready = player.state.value === 'ready';
  const colours = look.value; // drawn again in the other colours
  useEffect(() => {
    const box = place.current;
    if (!peaks || !ready || !box) return undefined;
    /** @param {string} name */
    const colour = (name) => getComputedStyle(box).getPropertyValue(name).trim();
    const wave = WaveSurfer.create({
      container: box,
      media: player.audio,
      peaks: scaled(peaks),
      duration: peaks.duration_ms / 1000,
      height: HEIGHT,
      waveColor: colour('--line-strong'),
      progressColor: colour('--accent'),
      cursorColor: colour('--text'),
      cursorWidth: 2,
      interact: false,
      cspNonce: /** @type {HTMLMetaElement} */ (document.querySelector('meta[name="style-nonce"]'))?.content,
    });
    return () => wave.destroy();
  }, [peaks, ready, colours]);
  // The slider over it says the same to keyboards and screen readers.
  return html`<div class="waveform" ref=${place} aria-hidden="true" hidden=${!peaks || !ready}></div>`;
}
