// @ts-check
// A job's state as a coloured word.
import { html } from '../lib.js';
import { t } from '../i18n.js';

const KINDS = { queued: 'wait', processing: 'busy', completed: 'good', failed: 'bad', canceled: '' };

/** @param {{ job: Job }} props */
export function Status({ job }) {
  return html`<span class="pill ${KINDS[job.status]}">${t(`status.${job.status}`)}</span>`;
}
