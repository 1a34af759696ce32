// How a recording is to be transcribed; remembered by the browser, and sent with everything that is submitted.
import { html, signal, useEffect, useState } from '../lib.js';
import { get } from '../api.js';
import { t } from '../i18n.js';
import { recall, remember } from '../storage.js';
import { report } from '../ui/announce.js';

const DEFAULTS = { model: '', channels: 'mix', priority: 5, tags: '', dedupe: false };
const PRIORITIES = [
  [8, 'options.priority_high'],
  [5, 'options.priority_normal'],
  [2, 'options.priority_low'],
];
const MOST_TAGS = 20;
const LONGEST_TAG = 64;

export const options = signal({ ...DEFAULTS, ...recall('options', {}) });

function change(values) {
  options.value = { ...options.value, ...values };
  remember('options', options.value);
}

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
      <input value=${tags} placeholder=${t('options.tags_example')} onInput=${(event) => change({ tags: event.target.value })} />
    </label>
    <label class="field">
      <span class="label">${t('options.priority')}</span>
      <select onChange=${(event) => change({ priority: Number(event.target.value) })}>
        ${PRIORITIES.map(
          ([value, words]) => html`<option value=${value} selected=${value === priority}>${t(words)}</option>`,
        )}
      </select>
    </label>
    <label class="choice">
      <input type="checkbox" checked=${dedupe} onChange=${(event) => change({ dedupe: event.target.checked })} />
      <span>${t('options.dedupe')}<br /><span class="hint">${t('options.dedupe_why')}</span></span>
    </label>
  `;
}

function Channel({ value, chosen }) {
  return html`
    <label class="choice">
      <input type="radio" name="channels" value=${value} checked=${chosen === value} onChange=${() => change({ channels: value })} />
      <span>${t(`options.channels_${value}`)}<br /><span class="hint">${t(`options.channels_${value}_why`)}</span></span>
    </label>
  `;
}

// Nothing to choose where there is one model; a chosen one that is gone is let go of.
function Model() {
  const [models, setModels] = useState(null);
  useEffect(() => {
    const stop = new AbortController();
    get('v1/models', {}, { signal: stop.signal }).then(
      (told) => {
        setModels(told.data);
        if (!told.data.some((model) => model.id === options.peek().model)) change({ model: '' });
      },
      (error) => stop.signal.aborted || report(error),
    );
    return () => stop.abort();
  }, []);
  const chosen = models?.find((model) => model.id === options.value.model) ?? models?.find((model) => model.default);
  return html`
    <label class="field">
      <span class="label">${t('options.model')}</span>
      <select disabled=${!models} onChange=${(event) => change({ model: event.target.value })}>
        ${(models ?? []).map(
          (model) => html`<option value=${model.default ? '' : model.id} selected=${model === chosen}>${model.id}</option>`,
        )}
      </select>
      ${chosen && chosen.workers === 0 && html`<span class="hint warn">${t('options.no_worker')}</span>`}
    </label>
  `;
}
