// @ts-check
// Icons of our own, 24 × 24, drawn in the colour of the text. They say nothing to screen readers: the words beside do.
import { html } from '../lib.js';

/** @type {Record<string, string>} */
const PATHS = {
  upload: 'M12 16V4m0 0L7 9m5-5 5 5M4 16v3a1 1 0 0 0 1 1h14a1 1 0 0 0 1-1v-3',
  list: 'M8 6h12M8 12h12M8 18h12M4 6h.01M4 12h.01M4 18h.01',
  search: 'M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13Zm4.8-1.7L20 20',
  sliders: 'M4 7h9m4 0h3M4 17h3m4 0h9M15 4.5v5M9 14.5v5',
  link: 'M10 14a4 4 0 0 0 5.7 0l3-3A4 4 0 0 0 13 5.3l-1 1M14 10a4 4 0 0 0-5.7 0l-3 3A4 4 0 0 0 11 18.7l1-1',
  microphone: 'M12 15a3 3 0 0 0 3-3V6a3 3 0 0 0-6 0v6a3 3 0 0 0 3 3Zm-7-3a7 7 0 0 0 14 0m-7 7v3',
  file: 'M6 3h8l5 5v12a1 1 0 0 1-1 1H6a1 1 0 0 1-1-1V4a1 1 0 0 1 1-1Zm8 0v5h5',
  folder: 'M3 6a1 1 0 0 1 1-1h5l2 2h9a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V6Z',
  check: 'm5 12.5 4.5 4.5L19 7.5',
  close: 'M6 6l12 12M18 6 6 18',
  warning:
    'M12 9v4m0 3.5h.01M10.4 4.4 2.8 17.6A1.6 1.6 0 0 0 4.2 20h15.6a1.6 1.6 0 0 0 1.4-2.4L13.6 4.4a1.8 1.8 0 0 0-3.2 0Z',
  plug: 'M9 3v5m6-5v5M6 8h12v3a6 6 0 0 1-12 0V8Zm6 9v4',
  sun: 'M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8Zm0-14v2m0 16v2M4.2 4.2l1.4 1.4m12.8 12.8 1.4 1.4M2 12h2m16 0h2M4.2 19.8l1.4-1.4M18.4 5.6l1.4-1.4',
  moon: 'M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5Z',
  contrast: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18Zm0-18v18m0-14h6.5M12 12h9m-9 5h6.5',
  leave: 'M14 4h4a1 1 0 0 1 1 1v14a1 1 0 0 1-1 1h-4M4 12h11m0 0-4-4m4 4-4 4',
  retry: 'M4 12a8 8 0 0 1 14-5.3L20 9m0-5v5h-5M20 12a8 8 0 0 1-14 5.3L4 15m0 5v-5h5',
  trash: 'M4 7h16M9 7V4h6v3m-8 0 1 13h8l1-13M10 11v5m4-5v5',
  cancel: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM9 9l6 6m0-6-6 6',
  stop: 'M7 7h10v10H7z',
  play: 'M8 5v14l11-7L8 5Z',
  pause: 'M8 5v14M16 5v14',
  copy: 'M9 9h10v11H9zM5 15V4h10',
  download: 'M12 4v12m0 0 5-5m-5 5-5-5M4 20h16',
  clock: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18Zm0-14v5l3 2',
  wave: 'M4 10v4m4-7v10m4-13v16m4-13v10m4-7v4',
  book: 'M5 19.5V5a2 2 0 0 1 2-2h12v14H7a2 2 0 0 0-2 2.5A2 2 0 0 0 7 21h12M9 7h6m-6 4h4',
  key: 'M8 19a4 4 0 1 0 0-8 4 4 0 0 0 0 8Zm2.8-6.8L19 4m-3 3 3 3',
  chart: 'M4 20h16M7 20v-7m5 7V5m5 15v-9',
  hook: 'M12 9a3 3 0 1 0-2.8-4M9.5 6.5 6 13m0 0a3 3 0 1 0 3 4h7m0 0a3 3 0 1 0 1-3.5L13.5 8',
  back: 'M19 12H5m0 0 6-6m-6 6 6 6',
  right: 'm9 5 7 7-7 7',
  down: 'm5 9 7 7 7-7',
  edit: 'M4 20h4L19 9l-4-4L4 16v4Zm9-13 4 4',
  skip_back: 'M11 7 6 12l5 5m7-10-5 5 5 5',
  skip_on: 'm13 7 5 5-5 5M6 7l5 5-5 5',
  keyboard:
    'M4 6h16a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V7a1 1 0 0 1 1-1Zm2.5 4h.01m3.5 0h.01m3.5 0h.01m3.5 0h.01M8 14h8',
  undo: 'M9 14 4 9l5-5M4 9h10a6 6 0 0 1 0 12h-3',
  up: 'm5 15 7-7 7 7',
  merge: 'M4 4h16M4 20h16M12 6v4m0 0-3-2m3 2 3-2M12 18v-4m0 0-3 2m3-2 3 2',
  info: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18Zm0-10v6m0-9.5h.01',
  share: 'M12 15V3m0 0L8 7m4-4 4 4M7 11H5v10h14V11h-2',
  tag: 'M4 4h8l8.5 8.5-8 8L4 12V4Zm4.5 4.5h.01',
  muted: 'M5 9v6h4l5 4V5L9 9H5Zm12 1 4 4m0-4-4 4',
  speaker: 'M5 9v6h4l5 4V5L9 9H5Zm12.5-.5a5 5 0 0 1 0 7',
};

/** @param {{ name: string }} props */
export function Icon({ name }) {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d=${PATHS[name]} /></svg>`;
}
