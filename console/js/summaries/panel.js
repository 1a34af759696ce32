// @ts-check
// The summary of a transcript: requests one, shows how far it is, and its text. What a model wrote is only ever text.
import { html, useState } from '../lib.js';
import { caller, get, post, remove } from '../api.js';
import { moment, percent } from '../format.js';
import { t } from '../i18n.js';
import { may } from '../session.js';
import { report } from '../ui/announce.js';
import { Copy } from '../ui/copy.js';
import { Icon } from '../ui/icon.js';
import { useLoad } from '../ui/load.js';
import { Failure } from '../ui/states.js';
import { Choice } from './choice.js';

const LOOK_AGAIN_MS = 2000;

/** @param {string} id */
const pathOf = (id) => `v1/transcriptions/${id}/summary`;

// Null for a transcript of which nobody has requested a summary.
/**
 * @param {string} id
 * @param {AbortSignal} signal
 * @returns {Promise<{ summary: Summary | null }>}
 */
async function read(id, signal) {
  const { summary } = await get(`v1/transcriptions/${id}`, {}, { signal });
  return { summary: summary && (await get(pathOf(id), {}, { signal })) };
}

/** @param {Summary | null | undefined} summary */
const isPending = (summary) => summary?.status === 'queued' || summary?.status === 'processing';

/** @param {{ job: Job }} props */
export function SummaryPanel({ job }) {
  const [pending, setPending] = useState(false);
  const { data, failure, load } = useLoad((abort) => read(job.id, abort), [], { everyMs: pending ? LOOK_AGAIN_MS : 0 });
  const summary = data?.summary ?? null;
  if (isPending(summary) !== pending) setPending(isPending(summary));
  const offered = may('submit');
  if (!caller.value?.summaries || (!summary && !failure && !(offered && data))) return null;
  return html`
    <section class="card padded stack summary" aria-labelledby="summary-title">
      <h2 id="summary-title">${t('summary.title')}</h2>
      ${failure && html`<${Failure} error=${failure} again=${load} />`}
      ${summary && html`<${Shown} summary=${summary} />`}
      ${summary?.previous && html`<${Previous} previous=${summary.previous} />`}
      <${Doing} job=${job} summary=${summary} offered=${offered} load=${load} />
    </section>
  `;
}

/** @param {{ summary: Summary }} props */
function Shown({ summary }) {
  if (isPending(summary)) return html`<${Growing} summary=${summary} />`;
  if (summary.status === 'canceled') return html`<p class="muted">${t('summary.canceled')}</p>`;
  if (summary.status === 'failed') return summary.error && html`<${Failure} error=${summary.error} />`;
  return html`<${Text} summary=${summary} />`;
}

// The last one that was completed, until another one replaces it.
/** @param {{ previous: PreviousSummary }} props */
function Previous({ previous }) {
  return html`
    <h3>${t('summary.previous')}</h3>
    <${Text} summary=${previous} />
  `;
}

/** @param {{ summary: Summary | PreviousSummary }} props */
function Text({ summary }) {
  return html`
    ${summary.stale && html`<p class="notice" role="status">${t('summary.stale')}</p>`}
    ${summary.truncated && html`<p class="notice" role="status">${t('summary.truncated')}</p>`}
    <div class="summary-text">${summary.text}</div>
    <p class="hint">${describe(summary)}</p>
  `;
}

/** @param {{ summary: Summary }} props */
function Growing({ summary }) {
  const words = summary.status === 'queued' ? t('summary.queued') : t('summary.processing');
  return html`
    <div class="row" role="status">
      <span class="spinner" aria-hidden="true"></span>
      <span>${words}${summary.progress > 0 && ` ${percent(summary.progress)}`}</span>
    </div>
    ${summary.error && html`<p class="hint">${t('summary.retrying', { code: summary.error.code })}</p>`}
  `;
}

/** @param {Summary | PreviousSummary} summary */
function describe(summary) {
  const kind = summary.template?.name ?? t(`summary.kind.${summary.kind}`);
  const parts = [kind, summary.model, summary.finished_at && moment(summary.finished_at), t('summary.unchecked')];
  return parts.filter(Boolean).join(' · ');
}

// What can be done with it now: request, cancel, copy, delete.
/** @param {{ job: Job, summary: Summary | null, offered: boolean, load: () => Promise<void> }} props */
function Doing({ job, summary, offered, load }) {
  const [choosing, setChoosing] = useState(false);
  const [failure, setFailure] = useState(/** @type {unknown} */ (null));
  const path = pathOf(job.id);
  const text = summary?.text ?? summary?.previous?.text;
  /** @param {Record<string, string>} wanted */
  const request = async (wanted) => {
    setFailure(null);
    try {
      await post(path, wanted);
      setChoosing(false);
    } catch (error) {
      setFailure(error);
    }
    await load();
  };
  const drop = async () => {
    try {
      await remove(path, { again: true });
    } catch (error) {
      report(error);
    }
    await load();
  };
  if (isPending(summary)) {
    return (
      may('submit') &&
      html`<div><button class="small" onClick=${drop}><${Icon} name="cancel" />${t('summary.cancel')}</button></div>`
    );
  }
  const asks = offered && (choosing || !summary);
  return html`
    ${failure && html`<${Failure} error=${failure} />`}
    ${asks && html`<${Choice} request=${request} />`}
    <div class="row">
      ${text && html`<${Copy} text=${text} />`}
      ${
        offered &&
        !asks &&
        html`<button class="small" onClick=${() => setChoosing(true)}><${Icon} name="retry" />${t('summary.again')}</button>`
      }
      ${
        summary &&
        may('submit') &&
        html`<button class="small quiet" onClick=${drop}><${Icon} name="trash" />${t('summary.delete')}</button>`
      }
    </div>
  `;
}
