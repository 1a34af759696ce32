// @ts-check
// How a recording is to be transcribed; remembered by the browser, and sent with everything that is submitted.
import { html, signal, useEffect } from '../lib.js';
import { t } from '../i18n.js';
import { caller } from '../api.js';
import { chosenModel, load, models } from '../models.js';
import { recall, remember } from '../storage.js';
import { tagsOf } from '../words.js';
import { SummaryField, chosenSummary } from './summary.js';
import { Words, chosenWords } from './words.js';

const DEFAULTS = {
  model: '',
  channels: 'mix',
  track: 'default',
  which: '',
  speakers: '',
  voices: true,
  itn: false,
  fillers: false,
  traditional: false,
  hotwords: '',
  vocabulary: '',
  segmentation: '',
  summary: '',
  priority: 5,
  tags: '',
  dedupe: false,
};
/** @type {[number, string][]} */
const PRIORITIES = [
  [8, 'options.priority_high'],
  [5, 'options.priority_normal'],
  [2, 'options.priority_low'],
];
const SEGMENTATIONS = ['', 'meeting', 'call', 'lecture', 'fixed', 'dynamic'];
const SPEAKERS = ['auto', '1', '2', '3', '4', '5', '6', '7', '8', '10', '12', '15', '20'];
// As the API takes an index or a language.
const TRACK = /^([0-9]{1,2}|[a-z]{2,3}(-[a-z]{2,4})?)$/i;
const MOST_TAGS = 20;
const LONGEST_TAG = 64;

export const options = signal({ ...DEFAULTS, ...recall('options', {}) });

/** @param {Record<string, any>} values */
function change(values) {
  options.value = { ...options.value, ...values };
  remember('options', options.value);
}

const chosenTags = () =>
  tagsOf(options.peek().tags)
    .map((tag) => tag.slice(0, LONGEST_TAG))
    .slice(0, MOST_TAGS);

// The options in the API's form, without defaults.
export function chosenOptions() {
  const { model, channels, track, which, speakers, voices, priority, dedupe } = options.peek();
  const { itn, fillers, traditional, segmentation } = options.peek();
  const wanted = track === 'one' ? which || 'default' : track; // the API refuses what is no track
  return {
    ...(model && { model }),
    ...(channels !== 'mix' && { channels }),
    ...(wanted !== 'default' && { audio_track: wanted }),
    ...(speakers && { speakers: speakers === 'auto' ? true : Number(speakers) }),
    ...(speakers && caller.value?.voices && !voices && { known_voices: false }),
    ...(itn && { itn }),
    ...(fillers && { remove_fillers: true }),
    ...(traditional && { script: 'traditional' }),
    ...chosenWords(options.peek()),
    ...chosenSummary(options.peek().summary),
    ...(segmentation && { segmentation }),
    ...(priority !== 5 && { priority }),
    ...(chosenTags().length && { tags: chosenTags() }),
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
        <${Channel} value="auto" chosen=${channels} />
      </div>
    </fieldset>
    <${Track} />
    <${Speakers} />
    <${Segmentation} />
    <fieldset>
      <legend>${t('options.text')}</legend>
      <div class="choices">
        <${TextRule} name="itn" />
        <${TextRule} name="fillers" />
        <${TextRule} name="traditional" />
      </div>
    </fieldset>
    <${Words} chosen=${options.value} change=${change} />
    ${caller.value?.summaries && html`<${SummaryField} chosen=${options.value.summary} change=${change} />`}
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

// Who said what: not for models that cannot tell.
function Speakers() {
  const chosen = chosenModel(options.value.model);
  const able = Boolean(chosen?.speakers);
  useEffect(() => {
    if (chosen && !able && options.peek().speakers) change({ speakers: '' });
  }, [chosen, able]);
  /** @param {string} value */
  const words = (value) =>
    value === 'auto' ? t('options.speakers_auto') : t('options.speakers_n', { n: Number(value) });
  return html`
    <label class="field">
      <span class="label">${t('options.speakers')}</span>
      <select disabled=${!able} onChange=${(/** @type {AnyEvent} */ event) => change({ speakers: event.target.value })}>
        <option value="" selected=${!options.value.speakers}>${t('options.speakers_off')}</option>
        ${SPEAKERS.map(
          (value) => html`<option value=${value} selected=${value === options.value.speakers}>${words(value)}</option>`,
        )}
      </select>
      ${chosen && !able && html`<span class="hint">${t('options.speakers_unable')}</span>`}
    </label>
    ${
      options.value.speakers &&
      caller.value?.voices &&
      html`<label class="choice">
        <input type="checkbox" checked=${options.value.voices}
          onChange=${(/** @type {AnyEvent} */ event) => change({ voices: event.target.checked })} />
        <span>${t('options.voices')}<br /><span class="hint">${t('options.voices_why')}</span></span>
      </label>`
    }
  `;
}

// What ends a piece of speech that is recognised at once.
function Segmentation() {
  const chosen = options.value.segmentation;
  return html`
    <label class="field">
      <span class="label">${t('options.segmentation')}</span>
      <select onChange=${(/** @type {AnyEvent} */ event) => change({ segmentation: event.target.value })}>
        ${SEGMENTATIONS.map(
          (value) =>
            html`<option value=${value} selected=${value === chosen}>${t(`options.segmentation_${value || 'default'}`)}</option>`,
        )}
      </select>
      <span class="hint">${t('options.segmentation_why')}</span>
    </label>
  `;
}

const TRACKS = ['default', 'all', 'one'];

// Which sound of a file with several tracks: a film in two languages, a screen recording with two microphones.
function Track() {
  const { track, which } = options.value;
  const wrong = which !== '' && !TRACK.test(which);
  return html`
    <label class="field">
      <span class="label">${t('options.track')}</span>
      <select onChange=${(/** @type {AnyEvent} */ event) => change({ track: event.target.value })}>
        ${TRACKS.map(
          (value) => html`<option value=${value} selected=${value === track}>${t(`options.track_${value}`)}</option>`,
        )}
      </select>
    </label>
    ${
      track === 'one' &&
      html`<label class="field">
        <span class="label">${t('options.track_which')}</span>
        <input value=${which} maxlength="8" placeholder="0" aria-invalid=${wrong}
          onInput=${(/** @type {AnyEvent} */ event) => change({ which: event.target.value.trim() })} />
        <span class=${wrong ? 'hint warn' : 'hint'} role="status">${t(wrong ? 'options.track_wrong' : 'options.track_which_why')}</span>
      </label>`
    }
  `;
}

/** @param {{ name: 'itn' | 'fillers' | 'traditional' }} props */
function TextRule({ name }) {
  const checked = options.value[name];
  return html`
    <label class="choice">
      <input type="checkbox" checked=${checked} onChange=${(/** @type {AnyEvent} */ event) => change({ [name]: event.target.checked })} />
      <span>${t(`options.${name}`)}<br /><span class="hint">${t(`options.${name}_why`)}</span></span>
    </label>
  `;
}

// A chosen model that is gone is let go of.
function Model() {
  useEffect(load, []);
  const chosen = chosenModel(options.value.model);
  useEffect(() => {
    if (chosen && options.peek().model && chosen.id !== options.peek().model) change({ model: '' });
  }, [chosen]);
  return html`
    <label class="field">
      <span class="label">${t('options.model')}</span>
      <select disabled=${!chosen} onChange=${(/** @type {AnyEvent} */ event) => change({ model: event.target.value })}>
        ${models.value?.map(
          (model) =>
            html`<option value=${model.default ? '' : model.id} selected=${model === chosen}>${model.id}</option>`,
        )}
      </select>
      ${chosen && chosen.workers === 0 && html`<span class="hint warn">${t('options.no_worker')}</span>`}
    </label>
  `;
}
