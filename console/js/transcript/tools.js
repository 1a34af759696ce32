// @ts-check
// What can be done with the whole text: find, copy, download; and what its colours mean.
import { html, useState } from '../lib.js';
import { BASE } from '../api.js';
import { percent } from '../format.js';
import { t } from '../i18n.js';
import { isOver } from '../jobs/live.js';
import { nameOf } from '../jobs/name.js';
import { Icon } from '../ui/icon.js';

const FORMS = ['txt', 'srt', 'vtt', 'ass', 'md', 'docx', 'csv', 'json'];
const CHANNEL_COLOURS = 4;

/** @param {{ view: Model, job: Job }} props */
export function Tools({ view, job }) {
  return html`
    <div class="tools">
      <div class="row">
        <${FindAndCopy} view=${view} />
        <label class="choice" title=${t('transcript.times_why')}>
          <input type="checkbox" checked=${view.times.value}
            onChange=${(/** @type {AnyEvent} */ event) => view.setTimes(event.target.checked)} />
          <span>${t('transcript.times')}</span>
        </label>
        <${Downloads} view=${view} job=${job} />
      </div>
      <${Legend} view=${view} />
    </div>
  `;
}

/** @param {{ view: Model }} props */
export function FindAndCopy({ view }) {
  return html`
    <button class="small" onClick=${() => view.openFind()}><${Icon} name="search" />${t('find.open')}</button>
    <button class="small" onClick=${() => view.copyAll()}><${Icon} name="copy" />${t('transcript.copy_all')}</button>
  `;
}

// A link or button for each format, and what else concerns the file.
/** @param {{ children: any }} props */
export function DownloadGroup({ children }) {
  return html`
    <div class="downloads row" role="group" aria-label=${t('transcript.download')}>
      <span class="muted"><${Icon} name="download" /> ${t('transcript.download')}</span>
      ${children}
    </div>
  `;
}

/** @param {string} title a file's or transcript's name */
export const stemOf = (title) => title.replace(/\.[^.]*$/, '');

/** @param {Model} view */
function corrected(view) {
  return view.text.sentences.some((sentence) => sentence.edit?.text != null);
}

/** @param {{ view: Model, job: Job }} props */
function Downloads({ view, job }) {
  const [machine, setMachine] = useState(false);
  const name = stemOf(nameOf(job));
  return html`
    <${DownloadGroup}>
      ${FORMS.map((form) => {
        const url = new URL(`v1/transcriptions/${view.id}/transcript`, BASE);
        url.searchParams.set('format', form);
        if (!isOver(job) || job.status !== 'completed') url.searchParams.set('partial', 'true');
        if (form === 'txt' && view.times.value) url.searchParams.set('times', 'true');
        if (machine) url.searchParams.set('text', 'machine');
        return html`<a key=${form} class="button small" href=${url.href} download=${`${name}.${form}`}>${form}</a>`;
      })}
      ${
        corrected(view) &&
        html`<label class="choice">
        <input type="checkbox" checked=${!machine} onChange=${(/** @type {AnyEvent} */ event) => setMachine(!event.target.checked)} />
        <span>${t('transcript.with_edits')}</span>
      </label>`
      }
    <//>
  `;
}

/** @param {{ view: Model }} props */
function Legend({ view }) {
  const low = view.low.value;
  const channels = view.channels.value;
  return html`
    <div class="legend">
      <label class="unsure-choice">
        <span><span class="unsure">${t('legend.unsure')}</span> ${low ? t('legend.below', { percent: percent(low) }) : t('legend.off')}</span>
        <input type="range" min="0" max="0.95" step="0.05" value=${low} aria-valuetext=${percent(low)}
          aria-label=${t('legend.threshold')} onInput=${(/** @type {AnyEvent} */ event) => view.setLow(Number(event.target.value))} />
      </label>
      ${
        corrected(view) &&
        html`<label class="choice">
          <input type="checkbox" checked=${view.showOriginal.value}
            onChange=${(/** @type {AnyEvent} */ event) => view.setShowOriginal(event.target.checked)} />
          <span>${t('legend.original')}</span>
        </label>`
      }
      ${
        channels > 1 &&
        Array.from(
          { length: channels },
          (_, channel) => html`
        <span key=${channel} class=${`channel-name channel-${(channel % CHANNEL_COLOURS) + 1}`}>
          ${t('sentence.channel', { channel: channel + 1 })}
        </span>`,
        )
      }
    </div>
  `;
}
