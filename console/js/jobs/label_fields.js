// @ts-check
// The fields for a job's name and tags, and the change that they make.
import { html, useEffect, useRef, useState } from '../lib.js';
import { patch } from '../api.js';
import { t } from '../i18n.js';
import { IconButton } from '../ui/icon_button.js';
import { changed } from './live.js';
import { nameOf } from './name.js';
import { tagsOf } from '../words.js';

const LONGEST_NAME = 255;
const LONGEST_TAGS = 600;

// What was typed into the field for new tags. (An existing tag may have a comma in it.)
/** @param {FormData} form */
export function tagsIn(form) {
  return tagsOf(String(form.get('tags') ?? ''));
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
              <${IconButton} icon="close" size="" words=${t('labels.remove_tag', { tag })} act=${() => remove(tag)} />
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
