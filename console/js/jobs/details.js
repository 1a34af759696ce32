// @ts-check
// What happened with a job: where it came from, what worked on it, and when it is deleted.
import { Fragment, html } from '../lib.js';
import { explained, get } from '../api.js';
import { bytes, clock, duration, moment, number } from '../format.js';
import { has, t } from '../i18n.js';
import { Dialog } from '../ui/dialog.js';
import { useLoad } from '../ui/load.js';
import { Failure, Loading } from '../ui/states.js';

/** @typedef {import('../../types/api').components['schemas']['TranscriptionDetail']} JobDetail */

/** @param {{ job: Job, close: () => void }} props */
export function Details({ job: { id }, close }) {
  const { data, failure, load } = useLoad(
    (signal) => /** @type {Promise<JobDetail>} */ (get(`v1/transcriptions/${id}`, undefined, { signal })),
    [id],
  );
  return html`
    <${Dialog} title=${t('details.title')} close=${close}>
      ${failure && html`<${Failure} error=${failure} again=${load} />`}
      ${!data && !failure && html`<${Loading} />`}
      ${data && html`<${Facts} job=${data} /><${Attempts} job=${data} />`}
      <div class="dialog-foot"><button autofocus onClick=${close}>${t('dialog.close')}</button></div>
    <//>
  `;
}

/** @param {{ job: JobDetail }} props */
function Facts({ job }) {
  const { result, source } = job;
  /** @type {[string, unknown][]} */
  const facts = [
    ['id', html`<span class="mono">${job.id}</span>`],
    ['file', source.name],
    ['link', source.url],
    ['bytes', source.bytes !== null && bytes(source.bytes)],
    ['length', job.audio_ms !== null && clock(job.audio_ms)],
    ['submitted', moment(job.created_at)],
    ['started', job.started_at && moment(job.started_at)],
    ['finished', job.finished_at && moment(job.finished_at)],
    ['model', result ? `${result.model} · ${result.precision}` : job.model],
    ['revision', result && html`<span class="mono">${result.model_revision}</span>`],
    ['took', result && took(result)],
    ['run', job.run > 1 && number(job.run)],
    ['batch', job.batch_id && html`<a href="#/jobs?batch=${job.batch_id}">${job.batch_id}</a>`],
    ['reused', job.deduplicated_from && html`<a href="#/t/${job.deduplicated_from}">${job.deduplicated_from}</a>`],
    ['audio', deletion(job.audio_deleted_at, job.audio_expires_at)],
    ['transcript', deletion(job.transcript_deleted_at, job.transcript_expires_at)],
    ['entry', deletion(null, job.expires_at)],
  ];
  return html`
    <dl class="details">
      ${facts
        .filter(([, value]) => value)
        .map(([name, value]) => html`<${Fragment} key=${name}><dt>${t(`details.${name}`)}</dt><dd>${value}</dd><//>`)}
    </dl>
  `;
}

/** @param {NonNullable<Job['result']>} result */
function took({ processing_ms: ms, rtf }) {
  const time = duration(ms / 1000);
  return rtf ? t('details.took_rtf', { time, times: number(1 / rtf, 1) }) : time;
}

/**
 * @param {string | null} deletedAt
 * @param {string | null} expiresAt
 */
function deletion(deletedAt, expiresAt) {
  if (deletedAt) return t('details.deleted_at', { time: moment(deletedAt) });
  return expiresAt && t('details.expires_at', { time: moment(expiresAt) });
}

/** @param {{ job: JobDetail }} props */
function Attempts({ job }) {
  if (job.attempts.length === 0) return html`<p class="muted">${t('details.no_attempts')}</p>`;
  return html`
    <h3>${t('details.attempts')}</h3>
    <ol class="attempts">
      ${job.attempts.map(
        (attempt) => html`
          <li key=${`${attempt.run} ${attempt.number} ${attempt.started_at}`}><${Attempt} attempt=${attempt} runs=${job.run} /></li>
        `,
      )}
    </ol>
  `;
}

// A newer service may end attempts in ways that this page does not know.
/** @param {string} outcome */
const outcomeOf = (outcome) => (has(`outcome.${outcome}`) ? t(`outcome.${outcome}`) : outcome);

/** @param {{ attempt: JobDetail['attempts'][number], runs: number }} props */
function Attempt({ attempt, runs }) {
  const { started_at: startedAt, ended_at: endedAt, error_code: code } = attempt;
  const seconds = endedAt && (new Date(endedAt).getTime() - new Date(startedAt).getTime()) / 1000;
  const parts = [
    runs > 1 && t('details.in_run', { n: attempt.run }),
    moment(startedAt),
    seconds !== null && duration(Number(seconds)),
    attempt.resumed_ms && t('details.resumed', { time: clock(attempt.resumed_ms) }),
    outcomeOf(attempt.outcome ?? 'running'),
    code && explained({ code, message: code }).what,
  ];
  return html`<span class="mono">${attempt.worker}</span><br /><span class="hint">${parts.filter(Boolean).join(' · ')}</span>`;
}
