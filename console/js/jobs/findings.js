// @ts-check
// What decoding found in the recording: several audio tracks, and sound that is missing, cut, or was not transcribed.
import { html } from '../lib.js';
import { clock } from '../format.js';
import { has, t, tag } from '../i18n.js';

/** @param {{ job: { warnings?: RecordingWarning[], tracks?: AudioTrack[] }, card?: boolean }} props */
export function Findings({ job, card }) {
  const warnings = (job.warnings ?? []).filter((warning) => warning.code !== 'no_speech');
  const tracks = job.tracks && job.tracks.length > 1 ? job.tracks : [];
  if (!warnings.length && !tracks.length) return null;
  return html`
    <section class=${card ? 'card findings' : 'findings'} aria-label=${t('warnings.title')}>
      ${warnings.length > 0 && html`<h2>${t('warnings.title')}</h2>`}
      ${warnings.length > 0 && html`<ul class="warnings">${warnings.map(item)}</ul>`}
      ${tracks.length > 0 && html`<h2>${t('tracks.title')}</h2>`}
      ${tracks.length > 0 && html`<ul class="tracks">${tracks.map((track) => html`<li key=${track.index}>${named(track)}</li>`)}</ul>`}
    </section>
  `;
}

/** @param {RecordingWarning} warning */
function item(warning) {
  return html`<li key=${`${warning.code} ${warning.start_ms}`}>${place(warning)}${describe(warning)}</li>`;
}

/** @param {RecordingWarning} warning */
function place({ start_ms, end_ms }) {
  if (start_ms === null) return '';
  const span = end_ms !== null && end_ms > start_ms ? `${clock(start_ms)} – ${clock(end_ms)}` : clock(start_ms);
  return html`<time>${span}</time>${' '}`;
}

// A newer service may warn of what this page does not know.
/** @param {RecordingWarning} warning */
function describe({ code, message }) {
  return has(`warning.${code}`) ? t(`warning.${code}`) : message;
}

/** @param {AudioTrack} track */
function named(track) {
  const parts = [
    t('tracks.index', { index: track.index }),
    track.language && spoken(track.language),
    track.title,
    t('transcript.channels', { n: track.channels }),
    t(track.transcribed ? 'tracks.transcribed' : 'tracks.not_transcribed'),
  ];
  return parts.filter(Boolean).join(' · ');
}

// Files name languages by codes of which browsers do not know all.
/** @param {string} code */
function spoken(code) {
  return new Intl.DisplayNames([tag()], { type: 'language' }).of(code) ?? code;
}
