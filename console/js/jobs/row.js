// @ts-check
// One job in the list.
import { html, useEffect } from '../lib.js';
import { explained } from '../api.js';
import { moment } from '../format.js';
import { t } from '../i18n.js';
import { link } from '../router.js';
import { Actions } from './actions.js';
import { isOver } from './live.js';
import { nameOf } from './name.js';
import { Progress, toldProgress } from './progress.js';
import { Status } from './status.js';
import { useJob } from './use_job.js';

/** @param {{ job: Job, onGone: () => void }} props */
export function Row({ job, onGone }) {
  return isOver(job) ? html`<${Line} job=${job} onGone=${onGone} />` : html`<${Moving} job=${job} onGone=${onGone} />`;
}

/** @param {{ job: Job, onGone: () => void }} props */
function Moving({ job, onGone }) {
  const entry = useJob(job.id, job);
  const gone = entry.gone.value;
  useEffect(() => {
    if (gone) onGone();
  }, [gone]);
  return html`<${Line} job=${entry.job.value ?? job} onGone=${onGone} />`;
}

/** @param {{ job: Job, onGone: () => void }} props */
function Line({ job, onGone }) {
  const name = nameOf(job);
  return html`
    <li class="line" data-job=${job.id}>
      <div class="line-main">
        <a class="job-name" href=${link('t', job.id)}><span>${name}</span></a>
        <p class="hint">${job.error ? explained(job.error).what : toldProgress(job)}</p>
        <${Progress} job=${job} name=${name} />
        ${
          job.tags.length > 0 &&
          html`<p class="row tags">
          ${job.tags.map((tag) => html`<a key=${tag} class="tag" href="#/jobs?tag=${encodeURIComponent(tag)}">${tag}</a>`)}
        </p>`
        }
      </div>
      <${Status} job=${job} />
      <time class="hint line-time" datetime=${job.created_at} title=${t('jobs.created')}>${moment(job.created_at)}</time>
      <span class="job-actions"><${Actions} job=${job} onGone=${onGone} /></span>
    </li>
  `;
}
