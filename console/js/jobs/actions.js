// @ts-check
// What can be done with a job, as its state and the caller's scopes allow: cancel, retry, delete.
import { html, useState } from '../lib.js';
import { onceKey, post, remove } from '../api.js';
import { t } from '../i18n.js';
import { may } from '../session.js';
import { report } from '../ui/announce.js';
import { Confirm } from '../ui/dialog.js';
import { Icon } from '../ui/icon.js';
import { changed } from './live.js';
import { nameOf } from './name.js';

// `onGone` is called when the job was deleted.
/** @param {{ job: Job, onGone: () => void }} props */
export function Actions({ job, onGone }) {
  const [asking, setAsking] = useState(/** @type {'cancel' | 'delete' | null} */ (null));
  if (!may('submit')) return null;
  const name = nameOf(job);
  const close = () => setAsking(null);
  const retry = async () => {
    try {
      changed(
        await post(`v1/transcriptions/${job.id}/retry`, undefined, {
          headers: { 'Idempotency-Key': onceKey() },
          again: true,
        }),
      );
    } catch (error) {
      report(error);
    }
  };
  const open = job.status === 'queued' || job.status === 'processing';
  return html`
    ${
      open &&
      !job.cancel_requested &&
      html`<${Small} icon="cancel" words=${t('jobs.cancel', { name })} act=${() => setAsking('cancel')} />`
    }
    ${
      (job.status === 'canceled' || (job.status === 'failed' && job.error?.retryable !== false)) &&
      html`<${Small} icon="retry" words=${t('jobs.retry', { name })} act=${retry} />`
    }
    ${
      job.status !== 'processing' &&
      html`<${Small} icon="trash" words=${t('jobs.delete', { name })} act=${() => setAsking('delete')} />`
    }
    ${asking === 'cancel' && html`<${Cancel} job=${job} name=${name} close=${close} />`}
    ${asking === 'delete' && html`<${Delete} job=${job} name=${name} close=${close} onGone=${onGone} />`}
  `;
}

/** @param {{ icon: string, words: string, act: () => any }} props */
function Small({ icon, words, act }) {
  return html`
    <button class="quiet square small" aria-label=${words} title=${words} onClick=${act}><${Icon} name=${icon} /></button>
  `;
}

/** @param {{ job: Job, name: string, close: () => void }} props */
function Cancel({ job, name, close }) {
  const act = async () => changed(await post(`v1/transcriptions/${job.id}/cancel`, undefined, { again: true }));
  const words = t('jobs.cancel_why', { name });
  return html`<${Confirm} title=${t('jobs.cancel_title')} words=${words} doing=${t('jobs.cancel_do')} act=${act} close=${close} />`;
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
