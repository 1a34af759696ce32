// @ts-check
// Who speaks: a legend with colours, names and shares. A name is changed in its place.
import { html, useState } from '../lib.js';
import { percent } from '../format.js';
import { t } from '../i18n.js';
import { announce, report } from '../ui/announce.js';
import { IconButton } from '../ui/icon_button.js';

const COLOURS = 8;
const LONGEST_NAME = 80;

/** @param {number} number a speaker's, from 1 */
export function colourOf(number) {
  return `speaker-${((number - 1) % COLOURS) + 1}`;
}

/**
 * @param {Speaker[]} speakers
 * @param {number} number
 */
export function nameOfSpeaker(speakers, number) {
  return speakers.find((one) => one.number === number)?.name ?? t('speaker.unnamed', { n: number });
}

/** @param {{ view: Model }} props */
export function Speakers({ view }) {
  const speakers = view.text.speakers.value;
  const [naming, setNaming] = useState(0);
  if (!speakers.length) return null;
  return html`
    <ul class="speakers row" aria-label=${t('speaker.legend')}>
      ${speakers.map(
        (speaker) => html`
          <li key=${speaker.number} class=${`speaker-entry ${colourOf(speaker.number)}`}>
            ${
              naming === speaker.number
                ? html`<${Naming} view=${view} speaker=${speaker} done=${() => setNaming(0)} />`
                : html`<${Entry} view=${view} speaker=${speaker} name=${() => setNaming(speaker.number)} />`
            }
          </li>
        `,
      )}
    </ul>
  `;
}

/** @param {{ view: Model, speaker: Speaker, name: () => void }} props */
function Entry({ view, speaker, name }) {
  const shown = nameOfSpeaker(view.text.speakers.value, speaker.number);
  return html`
    <span class="speaker-dot" aria-hidden="true"></span>
    <span>${shown}</span>
    <span class="muted">${percent(speaker.share)}</span>
    ${view.mayEdit && html`<${IconButton} icon="edit" words=${t('speaker.rename', { name: shown })} act=${name} />`}
  `;
}

/** @param {{ view: Model, speaker: Speaker, done: () => void }} props */
function Naming({ view, speaker, done }) {
  const others = view.text.speakers.value.filter((one) => one.number !== speaker.number);
  /** @param {() => Promise<void>} act */
  const run = async (act) => {
    try {
      await act();
      announce(t('speaker.saved'));
      done();
    } catch (error) {
      report(error);
    }
  };
  /** @param {AnyEvent} event */
  const save = (event) => {
    event.preventDefault();
    const name = String(new FormData(event.target).get('name') ?? '').trim();
    run(() => view.text.nameSpeaker(speaker.number, name || null));
  };
  /** @param {number} into */
  const merge = (into) => run(() => view.text.mergeSpeakers(speaker.number, into));
  return html`
    <form class="row" onSubmit=${save} onKeyDown=${(/** @type {AnyEvent} */ event) => event.key === 'Escape' && done()}>
      <input name="name" defaultValue=${speaker.name ?? ''} maxlength=${LONGEST_NAME} autofocus
        aria-label=${t('speaker.name')} placeholder=${t('speaker.unnamed', { n: speaker.number })} />
      <button class="primary small" type="submit">${t('speaker.save')}</button>
      <button class="quiet small" type="button" onClick=${done}>${t('dialog.cancel')}</button>
      ${others.length > 0 && html`<${Merging} others=${others} merge=${merge} />`}
    </form>
  `;
}

// For two speakers who are one person. Merging cannot be undone, so choosing the other is not enough: a button confirms it.
/** @param {{ others: Speaker[], merge: (into: number) => void }} props */
function Merging({ others, merge }) {
  const [into, setInto] = useState(0);
  return html`
    <select aria-label=${t('speaker.merge')} onChange=${(/** @type {AnyEvent} */ event) => setInto(Number(event.target.value))}>
      <option value="0" selected=${!into}>${t('speaker.merge')}</option>
      ${others.map(
        (one) =>
          html`<option value=${one.number} selected=${one.number === into}>${nameOfSpeaker(others, one.number)}</option>`,
      )}
    </select>
    ${into > 0 && html`<button class="small" type="button" onClick=${() => merge(into)}>${t('speaker.merge_do')}</button>`}
  `;
}
