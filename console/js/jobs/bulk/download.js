// @ts-check
// The transcripts of the selected jobs as one zip archive.
import { html, useState } from '../../lib.js';
import { fetched } from '../../api.js';
import { t } from '../../i18n.js';
import { FormDialog } from '../../ui/form_dialog.js';
import { save } from '../../ui/save.js';
import { nameOf } from '../name.js';
import { leftOut } from './archive.js';
import { Failures } from './dialog.js';

const FORMS = ['docx', 'txt', 'md', 'srt', 'vtt', 'ass', 'csv', 'json'];
const TEN_MINUTES_MS = 600_000;

/** @param {{ chosen: Job[], texts: Job[], close: () => void }} props */
export function DownloadDialog({ chosen, texts, close }) {
  const [missing, setMissing] = useState(/** @type {import('./each.js').BulkFailure[]} */ ([]));
  const without = chosen.filter((job) => !texts.includes(job));
  /** @param {FormData} form */
  const send = async (form) => {
    const answer = await fetched(`v1/transcriptions/export?format=${form.get('format')}`, {
      method: 'POST',
      json: { ids: texts.map((job) => job.id) },
      timeoutMs: TEN_MINUTES_MS,
    });
    const archive = await answer.blob();
    save(archive, 'transcripts.zip');
    const reasons = new Map((await leftOut(archive)).map(({ id, error }) => [id, error]));
    if (!reasons.size) close();
    setMissing(texts.filter((job) => reasons.has(job.id)).map((job) => ({ job, error: reasons.get(job.id) })));
  };
  if (missing.length) {
    const words = t('bulk.left_out', { n: missing.length, of: texts.length });
    return html`<${Failures} title=${words} failures=${missing} close=${close} />`;
  }
  return html`
    <${FormDialog} title=${t('bulk.download_title', { n: texts.length })} doing=${t('bulk.download_do')} send=${send} close=${close}>
      <label class="field">
        <span class="label">${t('bulk.format')}</span>
        <select name="format">${FORMS.map((form) => html`<option key=${form} value=${form}>${form}</option>`)}</select>
      </label>
      ${
        without.length > 0 &&
        html`<div>
          <p>${t('bulk.without_text', { n: without.length })}</p>
          <ul class="bulk-failures">${without.map((job) => html`<li key=${job.id}>${nameOf(job)}</li>`)}</ul>
        </div>`
      }
    <//>
  `;
}
