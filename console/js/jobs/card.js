// @ts-check
// A job that is followed: its state, how far it is, its text as it grows, and what can be done with it.
import { html, useEffect, useRef } from '../lib.js';
import { t } from '../i18n.js';
import { link } from '../router.js';
import { Icon } from '../ui/icon.js';
import { Failure, Loading } from '../ui/states.js';
import { Actions } from './actions.js';
import { Findings } from './findings.js';
import { isOver } from './live.js';
import { nameOf } from './name.js';
import { Progress, toldProgress } from './progress.js';
import { Status } from './status.js';
import { useJob } from './use_job.js';

const LAST_SENTENCES = 8;

/** @param {{ id: string, known: Job, onGone: () => void, onOver: (over: boolean) => void }} props */
export function JobCard({ id, known, onGone, onOver }) {
  const entry = useJob(id, known);
  const job = entry.job.value;
  const gone = entry.gone.value;
  useEffect(() => {
    if (gone) onGone();
  }, [gone]);
  const over = job ? isOver(job) : null;
  useEffect(() => {
    if (over !== null) onOver(over);
  }, [over]);
  if (gone) return null;
  if (!job) return html`<li class="card job"><${Loading} /></li>`;
  const name = nameOf(job);
  return html`
    <li class="card job" data-job=${id}>
      <div class="job-head">
        <a class="job-name" href=${link('t', id)}><${Icon} name=${job.source.kind === 'upload' ? 'file' : 'link'} /><span>${name}</span></a>
        <${Status} job=${job} />
        <span class="job-actions"><${Actions} job=${job} onGone=${onGone} /></span>
      </div>
      <${Progress} job=${job} name=${name} />
      <p class="hint" aria-live=${isOver(job) ? 'polite' : 'off'}>${toldProgress(job)}</p>
      ${job.error && html`<${Failure} error=${job.error} />`}
      <${Findings} job=${job} />
      ${!isOver(job) && entry.sentences.value.length > 0 && html`<${Growing} sentences=${entry.sentences.value} />`}
      ${
        job.status === 'completed' &&
        html`<a class="button small" href=${link('t', id)}>${t('jobs.open')}<${Icon} name="right" /></a>`
      }
    </li>
  `;
}

// The end of the text, which moves on as sentences come.
/** @param {{ sentences: Sentence[] }} props */
function Growing({ sentences }) {
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    if (box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [sentences.length]);
  return html`
    <div class="growing" ref=${box} tabindex="0" role="log" aria-live="off" aria-label=${t('jobs.so_far')}>
      ${sentences.slice(-LAST_SENTENCES).map((sentence) => html`<p key=${sentence.start_ms}>${sentence.text}</p>`)}
    </div>
  `;
}
