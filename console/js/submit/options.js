// @ts-check
// How a recording is to be transcribed; remembered by the browser, and sent with everything that is submitted.
import { html, signal, useEffect } from '../lib.js';
import { t } from '../i18n.js';
import { load, models } from '../models.js';
import { recall, remember } from '../storage.js';

const DEFAULTS = { model: '', channels: 'mix', priority: 5, tags: '', dedupe: false };
/** @type {[number, string][]} */
const PRIORITIES = [
  [8, 'options.priority_high'],
  [5, 'options.priority_normal'],
  [2, 'options.priority_low'],
];
const MOST_TAGS = 20;
const LONGEST_TAG = 64;

export const options = signal({ ...DEFAULTS, ...recall('options', {}) });

/** @param {Record<string, any>} values */
function change(values) {
  options.value = { ...options.value, ...values };
  remember('options', options.value);
}

/** @param {string} text */
export function tagsOf(text) {
  const tags = text.split(/[,，、;；\n]/).map((tag) => tag.trim().slice(0, LONGEST_TAG));
  return [...new Set(tags.filter(Boolean))].slice(0, MOST_TAGS);
}

// The options as the API takes them; what stands at its default is left out.
export function asked() {
  const { model, channels, priority, tags, dedupe } = options.peek();
  return {
    ...(model && { model }),
    ...(channels !== 'mix' && { channels }),
    ...(priority !== 5 && { priority }),
    ...(tagsOf(tags).length && { tags: tagsOf(tags) }),
    ...(dedupe && { dedupe }),
  };
}

// Open where there is room beside what is sent; on a phone what was sent comes first.
const roomy = matchMedia('(min-width: 58rem)').matches;

export function Options() {
  return html`
    <details class="card padded options" open=${roomy}>
      <summary>${t('options.title')}</summary>
      <div class="stack"><${Fields} /></div>
    </details>
  `;
}

function Fields() {
  const { channels, priority, tags, dedupe } = options.value;
  return html`
    <${Model} />
    <fieldset>
      <legend>${t('options.channels')}</legend>
      <div class="choices">
        <${Channel} value="mix" chosen=${channels} />
        <${Channel} value="split" chosen=${channels} />
      </div>
    </fieldset>
    <label class="field">
      <span class="label">${t('options.tags')}</span>
      <input value=${tags} placeholder=${t('options.tags_example')}
        onInput=${(/** @type {AnyEvent} */ event) => change({ tags: event.target.value })} />
    </label>
    <label class="field">
      <span class="label">${t('options.priority')}</span>
      <select onChange=${(/** @type {AnyEvent} */ event) => change({ priority: Number(event.target.value) })}>
        ${PRIORITIES.map(
          ([value, words]) => html`<option value=${value} selected=${value === priority}>${t(words)}</option>`,
        )}
      </select>
    </label>
    <label class="choice">
      <input type="checkbox" checked=${dedupe} onChange=${(/** @type {AnyEvent} */ event) => change({ dedupe: event.target.checked })} />
      <span>${t('options.dedupe')}<br /><span class="hint">${t('options.dedupe_why')}</span></span>
    </label>
  `;
}

/** @param {{ value: any, chosen: any }} props */
function Channel({ value, chosen }) {
  return html`
    <label class="choice">
      <input type="radio" name="channels" value=${value} checked=${chosen === value} onChange=${() => change({ channels: value })} />
      <span>${t(`options.channels_${value}`)}<br /><span class="hint">${t(`options.channels_${value}_why`)}</span></span>
    </label>
  `;
}

// A chosen model that is gone is let go of.
function Model() {
  useEffect(load, []);
  const all = models.value ?? [];
  const chosen = all.find((one) => one.id === options.value.model) ?? all.find((one) => one.default);
  useEffect(() => {
    if (chosen && options.peek().model && chosen.id !== options.peek().model) change({ model: '' });
  }, [chosen]);
  return html`
    <label class="field">
      <span class="label">${t('options.model')}</span>
      <select disabled=${!chosen} onChange=${(/** @type {AnyEvent} */ event) => change({ model: event.target.value })}>
        ${all.map(
          (model) =>
            html`<option value=${model.default ? '' : model.id} selected=${model === chosen}>${model.id}</option>`,
        )}
      </select>
      ${chosen && chosen.workers === 0 && html`<span class="hint warn">${t('options.no_worker')}</span>`}
    </label>
  `;
}
