// @ts-check
// Files or links that were submitted together: how many are done, and a row for each.
import { html, useEffect, useRef, useState } from '../lib.js';
import { percent } from '../format.js';
import { t } from '../i18n.js';
import { Actions } from '../jobs/actions.js';
import { isOver, watch } from '../jobs/live.js';
import { nameOf } from '../jobs/name.js';
import { toldProgress } from '../jobs/progress.js';
import { Status } from '../jobs/status.js';
import { explained } from '../api.js';
import { link } from '../router.js';
import { Icon } from '../ui/icon.js';
import { IconButton } from '../ui/icon_button.js';
import { mine } from './mine.js';
import { again, cancel } from './uploads.js';

const SHOWN = 6;
// Jobs that need attention come first.
/** @type {Record<string, number>} */
const RANK = { failed: 0, processing: 1, queued: 2, completed: 3, canceled: 4 };

/**
 * All of them, kept up to date for as long as the card is shown.
 * @param {string[]} ids
 */
function useEntries(ids) {
  /** @type {import('preact').RefObject<Map<string, any>>} */
  const held = useRef(new Map());
  for (const id of ids) if (!held.current.has(id)) held.current.set(id, watch(id, mine.known(id)));
  for (const [id, entry] of held.current) {
    if (ids.includes(id)) continue;
    entry.leave();
    held.current.delete(id);
  }
  useEffect(() => () => held.current.forEach((entry) => entry.leave()), []);
  return ids.map((id) => held.current.get(id));
}

/** @param {{ ids: string[], uploads: Upload[] }} props */
export function BatchCard({ ids, uploads }) {
  const entries = useEntries(ids);
  const jobs = entries.map((entry) => entry.job.value).filter(Boolean);
  const gone = entries.filter((entry) => entry.gone.value).map((entry) => entry.id);
  const ended = jobs.filter(isOver).map((job) => job.id);
  useEffect(() => gone.forEach((id) => mine.remove(id)), [gone.join()]);
  useEffect(() => jobs.forEach((job) => mine.mark(job.id, isOver(job))), [ended.join()]);
  const total = ids.length + uploads.length;
  const name = t('batch.title', { n: total });
  return html`
    <li class="card job batch">
      <div class="job-head">
        <span class="job-name"><${Icon} name="list" /><span>${name}</span></span>
        <span class="hint">${counted(jobs, total)}</span>
      </div>
      <progress class="progress" max=${total} value=${ended.length} aria-label=${t('jobs.progress', { name })} />
      <${Rows} jobs=${jobs} uploads=${uploads} total=${total} />
    </li>
  `;
}

/**
 * @param {Job[]} jobs
 * @param {number} total
 */
function counted(jobs, total) {
  const number = (/** @type {string} */ status) => jobs.filter((job) => job.status === status).length;
  const parts = [t('batch.done', { done: number('completed'), n: total })];
  if (number('failed')) parts.push(t('batch.failed', { n: number('failed') }));
  if (number('canceled')) parts.push(t('batch.canceled', { n: number('canceled') }));
  return parts.join(' · ');
}

/** @param {{ jobs: Job[], uploads: Upload[], total: number }} props */
function Rows({ jobs, uploads, total }) {
  const [all, setAll] = useState(false);
  const sorted = [...jobs].sort((a, b) => RANK[a.status] - RANK[b.status]);
  const shown = all ? jobs : sorted.slice(0, SHOWN);
  const room = all ? uploads.length : Math.max(0, SHOWN - shown.length);
  return html`
    <ul class="batch-rows">
      ${shown.map((job) => html`<${JobRow} key=${job.id} job=${job} />`)}
      ${uploads.slice(0, room).map((upload) => html`<${UploadRow} key=${`upload-${upload.key}`} upload=${upload} />`)}
    </ul>
    ${
      total > SHOWN &&
      html`<button class="quiet small batch-all" aria-expanded=${all ? 'true' : 'false'} onClick=${() => setAll(!all)}>
        ${all ? t('batch.less') : t('batch.all', { n: total })}
      </button>`
    }
  `;
}

/** @param {{ job: Job }} props */
function JobRow({ job }) {
  return html`
    <li class="batch-row" data-job=${job.id}>
      <a class="job-name" href=${link('t', job.id)}><span>${nameOf(job)}</span></a>
      <span class="hint">${job.error ? explained(job.error).what : toldProgress(job)}</span>
      <${Status} job=${job} />
      <span class="job-actions"><${Actions} job=${job} onGone=${() => mine.remove(job.id)} /></span>
    </li>
  `;
}

/** @param {{ upload: Upload }} props */
function UploadRow({ upload }) {
  const { key, name, size, sent, state, problem } = upload;
  const failed = state === 'failed';
  return html`
    <li class="batch-row">
      <span class="job-name"><span>${name}</span></span>
      <span class="hint">${failed && problem ? explained(problem).what : state === 'waiting' ? '' : percent(size ? sent / size : 1)}</span>
      <span class="pill ${failed ? 'bad' : 'busy'}">${t(`upload.${state}`)}</span>
      <span class="job-actions">
        ${failed && html`<button class="quiet small" onClick=${() => again(key)}>${t('state.again')}</button>`}
        <${IconButton} icon="close" words=${t('upload.cancel', { name })} act=${() => cancel(key)} />
      </span>
    </li>
  `;
}
