// @ts-check
// What a reader must know of the recording: sound that is missing, cut, or was not transcribed.
import { html } from '../lib.js';
import { clock } from '../format.js';
import { has, t } from '../i18n.js';

/** @param {{ job: Job }} props */
export function Warnings({ job }) {
  const warnings = (job.warnings ?? []).filter((warning) => warning.code !== 'no_speech');
  if (!warnings.length) return null;
  return html`
    <section class="card warnings" aria-label=${t('warnings.title')}>
      <h2>${t('warnings.title')}</h2>
      <ul>${warnings.map((warning) => html`<li key=${`${warning.code} ${warning.start_ms}`}>${place(warning)}${told(warning)}</li>`)}</ul>
    </section>
  `;
}

/** @param {RecordingWarning} warning */
function place({ start_ms, end_ms }) {
  if (start_ms === null) return '';
  const span = end_ms > start_ms ? `${clock(start_ms)} – ${clock(end_ms)}` : clock(start_ms);
  return html`<time>${span}</time>${' '}`;
}

// A newer service may warn of what this page does not know.
/** @param {RecordingWarning} warning */
function told({ code, message }) {
  return has(`warning.${code}`) ? t(`warning.${code}`) : message;
}
