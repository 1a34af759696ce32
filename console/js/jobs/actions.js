// @ts-check
// What can be done with a job, as its state and the caller's scopes allow: cancel, retry, delete.
import { html, useState } from '../lib.js';
import { post, remove } from '../api.js';
import { t } from '../i18n.js';
import { may } from '../session.js';
import { report } from '../ui/announce.js';
import { Confirm } from '../ui/dialog.js';
import { IconButton } from '../ui/icon_button.js';
import { changed } from './live.js';
import { nameOf } from './name.js';
import { canRetry, retry } from './retry.js';

// `onGone` is called when the job was deleted.
/** @param {{ job: Job, onGone: () => void }} props */
export function Actions({ job, onGone }) {
  const [asking, setAsking] = useState(/** @type {'cancel' | 'delete' | null} */ (null));
  if (!may('submit')) return null;
  const name = nameOf(job);
  const close = () => setAsking(null);
  const again = () => retry(job).catch(report);
  const open = job.status === 'queued' || job.status === 'processing';
  return html`
    ${
      open &&
      !job.cancel_requested &&
      html`<${IconButton} icon="cancel" words=${t('jobs.cancel', { name })} act=${() => setAsking('cancel')} />`
    }
    ${canRetry(job) && html`<${IconButton} icon="retry" words=${t('jobs.retry', { name })} act=${again} />`}
    ${
      job.status !== 'processing' &&
      html`<${IconButton} icon="trash" words=${t('jobs.delete', { name })} act=${() => setAsking('delete')} />`
    }
    ${asking === 'cancel' && html`<${Cancel} job=${job} name=${name} close=${close} />`}
    ${asking === 'delete' && html`<${Delete} job=${job} name=${name} close=${close} onGone=${onGone} />`}
  `;
}

/** @param {{ job: Job, name: string, close: () => void }} props */
function Cancel({ job, name, close }) {
  const act = async () => changed(await post(`v1/transcriptions/${job.id}/cancel`, undefined, { again: true }));
  const words = t('jobs.cancel_why', { name });
  return html`
    <${Confirm} title=${t('jobs.cancel_title')} words=${words} doing=${t('jobs.cancel_do')} keep=${t('jobs.cancel_not')}
      act=${act} close=${close} />
  `;
}

/** @param {{ job: Job, name: string, close: () => void, onGone: () => void }} props */
function Delete({ job, name, close, onGone }) {
  const act = async () => {
    await remove(`v1/transcriptions/${job.id}`);
    onGone?.();
  };
  const words = t('jobs.delete_why', { name });
  return html`<${Confirm} title=${t('jobs.delete_title')} words=${words} doing=${t('jobs.delete_do')} act=${act} close=${close} />`;
}
