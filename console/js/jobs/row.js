// @ts-check
// One job in the list.
import { html, useEffect, useRef, useState } from '../lib.js';
import { explained } from '../api.js';
import { moment } from '../format.js';
import { t } from '../i18n.js';
import { link } from '../router.js';
import { report } from '../ui/announce.js';
import { About } from './about.js';
import { Actions } from './actions.js';
import { LabelFields, useLabels } from './label_fields.js';
import { isOver } from './live.js';
import { nameOf } from './name.js';
import { Progress, toldProgress } from './progress.js';
import { Status } from './status.js';
import { useJob } from './use_job.js';

/**
 * @typedef {(id: string, on: boolean, extend: boolean) => void} Choose
 * @typedef {{ job: Job, chosen: boolean, choose: Choose, onGone: (id: string) => void, onChanged: (job: Job) => void }} RowProps
 */

/** @param {RowProps} props */
export function Row(props) {
  return isOver(props.job) ? html`<${Line} ...${props} />` : html`<${Moving} ...${props} />`;
}

/** @param {RowProps} props */
function Moving(props) {
  const { job, onGone } = props;
  const entry = useJob(job.id, job);
  const gone = entry.gone.value;
  useEffect(() => {
    if (gone) onGone(job.id);
  }, [gone]);
  // The list alone knows how the text begins.
  return html`<${Line} ...${props} job=${{ ...(entry.job.value ?? job), preview: job.preview }} />`;
}

/** @param {RowProps} props */
function Line({ job, chosen, choose, onGone, onChanged }) {
  const [editing, setEditing] = useState(false);
  const row = useRef(/** @type {HTMLElement | null} */ (null));
  const edited = useRef(false);
  useEffect(() => {
    if (edited.current && !editing) row.current?.querySelector('a')?.focus(); // where the form was
    edited.current = editing;
  }, [editing]);
  const name = nameOf(job);
  /** @param {AnyEvent} event */
  const ticked = (event) => choose(job.id, event.target.checked, event.shiftKey);
  return html`
    <li ref=${row} class=${chosen ? 'line chosen' : 'line'} data-job=${job.id}>
      <label class="line-tick">
        <input type="checkbox" data-tick=${job.id} checked=${chosen} aria-label=${t('bulk.select', { name })} onClick=${ticked} />
      </label>
      ${
        editing
          ? html`<${EditInPlace} job=${job} onChanged=${onChanged} close=${() => setEditing(false)} />`
          : html`<${Main} job=${job} name=${name} />`
      }
      <${Status} job=${job} />
      <time class="hint line-time" datetime=${job.created_at} title=${t('jobs.created')}>${moment(job.created_at)}</time>
      <span class="job-actions">
        <${About} job=${job} onEdit=${() => setEditing(true)} />
        <${Actions} job=${job} onGone=${() => onGone(job.id)} />
      </span>
    </li>
  `;
}

/** @param {{ job: Job, name: string }} props */
function Main({ job, name }) {
  return html`
    <div class="line-main">
      <a class="job-name" href=${link('t', job.id)}><span>${name}</span></a>
      ${job.preview && html`<p class="preview">${job.preview}</p>`}
      <p class="hint">${job.error ? explained(job.error).what : toldProgress(job)}</p>
      <${Progress} job=${job} name=${name} />
      ${
        (job.tags.length > 0 || job.batch_id) &&
        html`<p class="row tags">
        ${job.batch_id && html`<a class="tag" href="#/jobs?batch=${job.batch_id}">${t('jobs.batch')}</a>`}
        ${job.tags.map((tag) => html`<a key=${tag} class="tag" href="#/jobs?tag=${encodeURIComponent(tag)}">${tag}</a>`)}
      </p>`
      }
    </div>
  `;
}

/** @param {{ job: Job, onChanged: (job: Job) => void, close: () => void }} props */
function EditInPlace({ job, onChanged, close }) {
  const [busy, setBusy] = useState(false);
  const { tags, setTags, save } = useLabels(job, onChanged);
  /** @param {AnyEvent} event */
  const go = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      await save(new FormData(event.target));
      close();
    } catch (error) {
      setBusy(false);
      report(error);
    }
  };
  /** @param {AnyEvent} event */
  const onKey = (event) => {
    if (event.key === 'Escape') close();
  };
  return html`
    <form class="line-main line-edit" onSubmit=${go} onKeyDown=${onKey}>
      <${LabelFields} job=${job} tags=${tags} setTags=${setTags} />
      <div class="row">
        <button class="primary small" type="submit" disabled=${busy}>${t('labels.save')}</button>
        <button class="small" type="button" onClick=${close}>${t('dialog.cancel')}</button>
      </div>
    </form>
  `;
}
