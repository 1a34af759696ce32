// @ts-check
// How far a job is: its place in the queue, what is being done, how long still.
import { html } from '../lib.js';
import { clock, duration, percent } from '../format.js';
import { t } from '../i18n.js';
import { isOver } from './live.js';

/** @param {Job} job */
export function toldProgress(job) {
  const parts = [];
  if (job.cancel_requested && !isOver(job)) return t('jobs.canceling');
  if (job.status === 'queued') {
    parts.push(job.queue_position ? t('jobs.place', { place: job.queue_position }) : t('jobs.waits'));
  }
  if (job.status === 'processing') {
    parts.push(t(`stage.${job.stage ?? 'fetching'}`));
    if (job.progress !== null) parts.push(percent(job.progress));
    if (job.processed_ms) parts.push(t('jobs.transcribed', { time: clock(job.processed_ms) }));
  }
  if (!isOver(job) && job.eta_seconds !== null) parts.push(t('jobs.eta', { time: duration(job.eta_seconds) }));
  if (job.status === 'completed') {
    if (job.audio_ms !== null) parts.push(t('jobs.length', { time: clock(job.audio_ms) }));
    if (job.result?.no_speech) parts.push(t('jobs.no_speech'));
    else if (job.result) parts.push(t('jobs.took', { time: duration(job.result.processing_ms / 1000) }));
  }
  return parts.join(' · ');
}

/** @param {{ job: Job, name: string }} props */
export function Progress({ job, name }) {
  if (job.status !== 'processing') return null;
  const value = job.progress === null ? {} : { value: job.progress };
  return html`<progress class="progress" max="1" ...${value} aria-label=${t('jobs.progress', { name })} />`;
}
