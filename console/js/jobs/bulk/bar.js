// @ts-check
// What can be done with the selected jobs: tag, download, retry, delete.
import { html, useState } from '../../lib.js';
import { patch, remove } from '../../api.js';
import { t } from '../../i18n.js';
import { may } from '../../session.js';
import { Icon } from '../../ui/icon.js';
import { BulkDialog } from './dialog.js';
import { DownloadDialog } from './download.js';
import { TagFields, tagsIn } from '../label_fields.js';
import { changed } from '../live.js';
import { nameOf } from '../name.js';
import { canRetry, retry } from '../retry.js';

const NAMED = 5;

/** @typedef {ReturnType<typeof import('./selection.js').useSelection>} Selection */
/** @typedef {{ selection: Selection, onChanged: (job: Job) => void, onGone: (id: string) => void }} Changes */
/** @param {{ jobs: Job[] } & Changes} props */
export function BulkBar({ jobs, selection, onChanged, onGone }) {
  const [asking, setAsking] = useState(/** @type {'tag' | 'download' | 'retry' | 'delete' | null} */ (null));
  const { chosen } = selection;
  const count = chosen.length;
  const again = chosen.filter(canRetry);
  const texts = chosen.filter((job) => job.status === 'completed');
  const close = () => setAsking(null);
  /** @param {AnyEvent} event */
  const all = (event) => selection.chooseAll(event.target.checked);
  const Ask = asking && DIALOGS[asking];
  // A dialog outlives the last row, which may be deleted while it tells what failed.
  return html`
    ${
      jobs.length > 0 &&
      html`<div class=${count ? 'bulk chosen' : 'bulk'} role="toolbar" aria-label=${t('bulk.label')}>
        <label class="choice" title=${t('bulk.keys')}>
          <input type="checkbox" checked=${count > 0 && count === jobs.length} indeterminate=${count > 0 && count < jobs.length} onChange=${all} />
          <span aria-live="polite">${count ? t('bulk.count', { n: count }) : t('bulk.all', { n: jobs.length })}</span>
        </label>
        ${count > 0 && html`<${Buttons} all=${count} texts=${texts.length} again=${again.length} ask=${setAsking} />`}
      </div>`
    }
    ${
      Ask &&
      html`
        <${Ask} chosen=${chosen} texts=${texts} again=${again} selection=${selection} onChanged=${onChanged} onGone=${onGone} close=${close} />
      `
    }
  `;
}

/** @param {{ all: number, texts: number, again: number, ask: (what: 'tag' | 'download' | 'retry' | 'delete') => void }} props */
function Buttons({ all, texts, again, ask }) {
  const changes = may('submit');
  return html`
    <div class="row">
      ${changes && html`<${Do} icon="tag" words=${t('bulk.tag')} act=${() => ask('tag')} />`}
      <${Do} icon="download" words=${t('bulk.download', { n: texts })} off=${!texts} act=${() => ask('download')} />
      ${changes && html`<${Do} icon="retry" words=${t('bulk.retry', { n: again })} off=${!again} act=${() => ask('retry')} />`}
      ${changes && html`<${Do} icon="trash" words=${t('bulk.delete', { n: all })} act=${() => ask('delete')} />`}
    </div>
  `;
}

/** @param {{ icon: string, words: string, off?: boolean, act: () => void }} props */
function Do({ icon, words, off = false, act }) {
  return html`<button class="small" disabled=${off} onClick=${act}><${Icon} name=${icon} />${words}</button>`;
}

/** @typedef {{ chosen: Job[], texts: Job[], again: Job[], close: () => void } & Changes} Asked */

/** @param {Asked} props */
function Tag({ chosen, onChanged, close }) {
  const [known] = useState(() => [...new Set(chosen.flatMap((job) => job.tags))]);
  const [removed, setRemoved] = useState(/** @type {string[]} */ ([]));
  /**
   * @param {Job} job
   * @param {FormData} form
   */
  const act = async (job, form) => {
    const change = { add_tags: tagsIn(form), remove_tags: removed.filter((tag) => job.tags.includes(tag)) };
    const answer = await patch(`v1/transcriptions/${job.id}`, change, { again: true });
    changed(answer);
    onChanged(answer);
  };
  return html`
    <${BulkDialog} title=${t('bulk.tag_title', { n: chosen.length })} doing=${t('labels.save')}
      jobs=${chosen} act=${act} onDone=${() => {}} close=${close}>
      <${TagFields} tags=${known.filter((tag) => !removed.includes(tag))} autofocus
        remove=${(/** @type {string} */ tag) => setRemoved([...removed, tag])} />
    <//>
  `;
}

/** @param {Asked} props */
function Retry({ again, close }) {
  return html`
    <${BulkDialog} title=${t('bulk.retry_title', { n: again.length })} doing=${t('bulk.retry_do')}
      jobs=${again} act=${retry} onDone=${() => {}} close=${close}>
      <${Names} jobs=${again} />
    <//>
  `;
}

/** @param {Asked} props */
function Delete({ chosen, selection, onGone, close }) {
  /** @param {Job} job */
  const act = async (job) => {
    await remove(`v1/transcriptions/${job.id}`);
    onGone(job.id);
  };
  return html`
    <${BulkDialog} danger title=${t('bulk.delete_title', { n: chosen.length })} doing=${t('jobs.delete_do')}
      jobs=${chosen} act=${act} onDone=${(/** @type {string[]} */ ids) => selection.set(ids, false)} close=${close}>
      <p>${t('bulk.delete_why')}</p>
      <${Names} jobs=${chosen} />
    <//>
  `;
}

// The first names, and how many more.
/** @param {{ jobs: Job[] }} props */
function Names({ jobs }) {
  const [shown] = useState(jobs);
  return html`
    <ul class="bulk-names">
      ${shown.slice(0, NAMED).map((job) => html`<li key=${job.id}>${nameOf(job)}</li>`)}
      ${shown.length > NAMED && html`<li class="muted">${t('bulk.more', { n: shown.length - NAMED })}</li>`}
    </ul>
  `;
}

const DIALOGS = { tag: Tag, download: DownloadDialog, retry: Retry, delete: Delete };
