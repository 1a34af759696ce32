// @ts-check
// Who speaks: a legend with colours, names and shares. A name is changed in its place.
import { html, useState } from '../lib.js';
import { percent } from '../format.js';
import { t } from '../i18n.js';
import { announce, report } from '../ui/announce.js';
import { Icon } from '../ui/icon.js';

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
    ${
      view.mayEdit &&
      html`<button class="quiet square small" aria-label=${t('speaker.rename', { name: shown })}
        title=${t('speaker.rename', { name: shown })} onClick=${name}><${Icon} name="edit" /></button>`
    }
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
  /** @param {AnyEvent} event */
  const merge = (event) => run(() => view.text.mergeSpeakers(speaker.number, Number(event.target.value)));
  return html`
    <form class="row" onSubmit=${save} onKeyDown=${(/** @type {AnyEvent} */ event) => event.key === 'Escape' && done()}>
      <input name="name" defaultValue=${speaker.name ?? ''} maxlength=${LONGEST_NAME} autofocus
        aria-label=${t('speaker.name')} placeholder=${t('speaker.unnamed', { n: speaker.number })} />
      <button class="primary small" type="submit">${t('speaker.save')}</button>
      <button class="quiet small" type="button" onClick=${done}>${t('dialog.cancel')}</button>
      ${
        others.length > 0 &&
        html`<select aria-label=${t('speaker.merge')} onChange=${merge}>
          <option value="">${t('speaker.merge')}</option>
          ${others.map((one) => html`<option value=${one.number}>${nameOfSpeaker(others, one.number)}</option>`)}
        </select>`
      }
    </form>
  `;
}
