// @ts-check
// The fields for a job's name and tags, and the change that they make.
import { html, useEffect, useRef, useState } from '../lib.js';
import { patch } from '../api.js';
import { t } from '../i18n.js';
import { Icon } from '../ui/icon.js';
import { changed } from './live.js';
import { nameOf } from './name.js';

const LONGEST_NAME = 255;
const LONGEST_TAGS = 600;

// What was typed into the field for new tags. (An existing tag may have a comma in it.)
/** @param {FormData} form */
export function tagsIn(form) {
  const typed = String(form.get('tags') ?? '').split(/[,，、]/);
  return [...new Set(typed.map((tag) => tag.trim()).filter(Boolean))];
}

/** @param {{ tags: string[], remove: (tag: string) => void, autofocus?: boolean }} props */
export function TagFields({ tags, remove, autofocus = false }) {
  return html`
    ${
      tags.length > 0 &&
      html`<p class="row tags">
        ${tags.map(
          (tag) => html`
            <span key=${tag} class="tag removable">${tag}
              <button type="button" class="quiet square" aria-label=${t('labels.remove_tag', { tag })} title=${t('labels.remove_tag', { tag })}
                onClick=${() => remove(tag)}><${Icon} name="close" /></button>
            </span>
          `,
        )}
      </p>`
    }
    <label class="field">
      <span class="label">${t('labels.add_tags')}</span>
      <input name="tags" maxlength=${LONGEST_TAGS} autofocus=${autofocus} autocomplete="off" />
    </label>
  `;
}

// A job's name and tags as a form: `children` are what stands below the fields.
/** @param {{ job: Job, tags: string[], setTags: (tags: string[]) => void }} props */
export function LabelFields({ job, tags, setTags }) {
  const name = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => name.current?.select(), []);
  return html`
    <label class="field">
      <span class="label">${t('labels.name')}</span>
      <input ref=${name} name="name" maxlength=${LONGEST_NAME} autofocus defaultValue=${nameOf(job)}
        placeholder=${job.source.name ?? ''} autocomplete="off" />
    </label>
    <${TagFields} tags=${tags} remove=${(/** @type {string} */ gone) => setTags(tags.filter((tag) => tag !== gone))} />
  `;
}

// The tags that are left, and a function that saves what was filled in.
/**
 * @param {Job} job
 * @param {(job: Job) => void} onChanged
 */
export function useLabels(job, onChanged) {
  const [tags, setTags] = useState(job.tags);
  /** @param {FormData} form */
  const save = async (form) => {
    const typed = String(form.get('name')).trim();
    /** @type {Record<string, unknown>} */
    const change = { add_tags: tagsIn(form), remove_tags: job.tags.filter((tag) => !tags.includes(tag)) };
    if (typed !== nameOf(job)) change.name = typed || null;
    const answer = await patch(`v1/transcriptions/${job.id}`, change, { again: true });
    changed(answer);
    onChanged(answer);
  };
  return { tags, setTags, save };
}
