// @ts-check
// What this transcript is of: its name, its state, and its figures.
import { html } from '../lib.js';
import { clock, moment } from '../format.js';
import { t } from '../i18n.js';
import { About } from '../jobs/about.js';
import { Actions } from '../jobs/actions.js';
import { nameOf } from '../jobs/name.js';
import { Status } from '../jobs/status.js';
import { go } from '../router.js';
import { ShareButton } from '../shares/button.js';
import { Icon } from '../ui/icon.js';

/** @param {{ job: Job }} props */
export function Head({ job }) {
  const facts = [
    moment(job.created_at),
    job.audio_ms !== null && t('transcript.length', { time: clock(job.audio_ms) }),
    job.result?.model ?? job.model,
    (job.result?.channels ?? 1) > 1 && t('transcript.channels', { n: job.result?.channels }),
  ].filter(Boolean);
  return html`
    <div class="transcript-head">
      <a class="back" href="#/jobs"><${Icon} name="back" />${t('nav.jobs')}</a>
      <div class="row">
        <h1>${nameOf(job)}</h1>
        <${Status} job=${job} />
        <span class="spread"></span>
        <span class="job-actions">
          <${ShareButton} job=${job} />
          <${About} job=${job} />
          <${Actions} job=${job} onGone=${() => go('#/jobs')} />
        </span>
      </div>
      <p class="muted facts">${facts.join(' · ')}</p>
    </div>
  `;
}
