// @ts-check
// Shown in place of a missing or unfinished text.
import { html } from '../lib.js';
import { duration, percent } from '../format.js';
import { t } from '../i18n.js';
import { isOver } from '../jobs/live.js';
import { Empty } from '../ui/states.js';

/** @param {{ job: Job }} props */
export function Growing({ job }) {
  const done = job.progress ?? 0;
  const words = job.status === 'queued' ? waiting(job) : t(`stage.${job.stage ?? 'transcribing'}`);
  return html`
    <div class="growing" role="group" aria-label=${t('transcript.progress')}>
      <p class="row">
        <span>${words}</span>
        <span class="spread"></span>
        ${job.progress !== null && job.status === 'processing' && html`<span>${percent(done)}</span>`}
        ${job.eta_seconds !== null && html`<span class="muted">${t('transcript.left', { time: duration(job.eta_seconds) })}</span>`}
      </p>
      <progress class="progress" max="1" value=${job.progress ?? undefined} aria-label=${words}></progress>
    </div>
  `;
}

/** @param {Job} job */
function waiting(job) {
  return job.queue_position ? t('transcript.queued_at', { place: job.queue_position }) : t('status.queued');
}

/** @param {{ job: Job }} props */
export function NoText({ job }) {
  if (!isOver(job)) return html`<p class="muted">${t('transcript.waiting')}</p>`;
  if (job.status === 'canceled') return html`<${Empty} icon="stop" title=${t('transcript.canceled')} />`;
  if (job.status === 'failed') return null; // the error above says it
  return html`<${Empty} icon="speaker" title=${t('transcript.empty')}>${t('transcript.empty_why')}<//>`;
}
