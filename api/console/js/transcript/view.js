// The transcript of one job: its text, also while it grows, and downloads.
import { html, useEffect, useState } from '../lib.js';
import { BASE, get } from '../api.js';
import { percent } from '../format.js';
import { t } from '../i18n.js';
import { isOver } from '../jobs/live.js';
import { Status } from '../jobs/status.js';
import { useJob } from '../jobs/use_job.js';
import { Empty, Failure, Loading } from '../ui/states.js';
import { useTitle } from '../ui/title.js';

const FORMATS = ['txt', 'srt', 'vtt', 'json'];

export function Transcript({ id }) {
  const entry = useJob(id);
  const job = entry.job.value;
  useTitle(job?.source.name ?? t('transcript.title'));
  if (entry.gone.value) return html`<${Failure} error=${entry.gone.value} />`;
  if (!job) return html`<${Loading} />`;
  return html`
    <div class="page">
      <div class="page-head"><h1>${job.source.name ?? job.source.url ?? job.id}</h1><${Status} job=${job} /></div>
      ${job.error && html`<${Failure} error=${job.error} />`}
      ${job.status === 'completed'
        ? html`<${Finished} id=${id} />`
        : html`<${Growing} job=${job} sentences=${entry.sentences.value} />`}
    </div>
  `;
}

function Growing({ job, sentences }) {
  if (isOver(job)) return null;
  return html`
    <progress class="progress" max="1" value=${job.progress ?? undefined} aria-label=${t(`status.${job.status}`)}>
      ${percent(job.progress ?? 0)}
    </progress>
    ${sentences.length ? html`<${Text} sentences=${sentences} />` : html`<p class="muted">${t('transcript.waiting')}</p>`}
  `;
}

function Finished({ id }) {
  const [sentences, setSentences] = useState(null);
  const [failure, setFailure] = useState(null);
  useEffect(() => {
    get(`v1/transcriptions/${id}/transcript`).then((told) => setSentences(told.sentences), setFailure);
  }, [id]);
  if (failure) return html`<${Failure} error=${failure} />`;
  if (!sentences) return html`<${Loading} />`;
  if (!sentences.length) return html`<${Empty} icon="speaker" title=${t('transcript.empty')} />`;
  return html`
    <p class="row">
      ${t('transcript.download')}
      ${FORMATS.map((form) => {
        const url = new URL(`v1/transcriptions/${id}/transcript?format=${form}`, BASE).href;
        return html`<a class="button small" href=${url} download=${`${id}.${form}`}>${form}</a>`;
      })}
    </p>
    <${Text} sentences=${sentences} />
  `;
}

function Text({ sentences }) {
  return html`<div class="transcript">${sentences.map((said, n) => html`<p key=${n}>${said.text}</p>`)}</div>`;
}
