// @ts-check
// Remembers the voice of a speaker: of a new person, with a statement of consent, or more of a known one.
import { html, useState } from '../lib.js';
import { get, post } from '../api.js';
import { t } from '../i18n.js';
import { announce } from '../ui/announce.js';
import { Dialog } from '../ui/dialog.js';
import { Field, FormDialog } from '../ui/form_dialog.js';
import { useLoad } from '../ui/load.js';
import { Failure, Loading } from '../ui/states.js';

const PAGE = 100;
const LONGEST_NAME = 80;
const LONGEST_STATEMENT = 1000;

// All of them: a tenant has at most 200.
/**
 * @param {AbortSignal} signal
 * @returns {Promise<VoiceList>}
 */
export async function knownVoices(signal) {
  let page = await get('v1/voices', { limit: PAGE }, { signal });
  const all = [...page.data];
  while (page.next) {
    page = await get('v1/voices', { limit: PAGE, after: page.next }, { signal });
    all.push(...page.data);
  }
  return { ...page, data: all };
}

/** @param {{ view: Model, speaker: Speaker, close: () => void }} props */
export function Remember({ view, speaker, close }) {
  const { data, failure, load } = useLoad((abort) => knownVoices(abort), []);
  if (data?.enabled) return html`<${Form} view=${view} speaker=${speaker} voices=${data.data} close=${close} />`;
  return html`
    <${Dialog} title=${t('voices.remember_title')} close=${close}>
      ${failure && html`<${Failure} error=${failure} again=${load} />`}
      ${!data && !failure && html`<${Loading} />`}
      ${data && html`<p class="notice">${t('voices.off')}</p>`}
      <div class="dialog-foot"><button onClick=${close}>${t('dialog.close')}</button></div>
    <//>
  `;
}

/** @param {{ view: Model, speaker: Speaker, voices: Voice[], close: () => void }} props */
function Form({ view, speaker, voices, close }) {
  const [person, setPerson] = useState(speaker.voice_id ?? '');
  /** @param {FormData} form */
  const send = async (form) => {
    const source = { transcription_id: view.id, speaker: speaker.number };
    const stated = { name: String(form.get('name')).trim(), consent: String(form.get('consent')).trim() };
    const voice = person
      ? await post(`v1/voices/${person}/samples`, source)
      : await post('v1/voices', { ...source, ...stated });
    announce(t('voices.remembered', { name: voice.name }));
    await view.text.loadSpeakers(); // a speaker without a name has one now
    close();
  };
  return html`
    <${FormDialog} title=${t('voices.remember_title')} doing=${t('voices.remember')} send=${send} close=${close}>
      <p>${t('voices.remember_why')}</p>
      ${
        voices.length > 0 &&
        html`<label class="field">
          <span class="label">${t('voices.person')}</span>
          <select onChange=${(/** @type {AnyEvent} */ event) => setPerson(event.target.value)}>
            <option value="" selected=${!person}>${t('voices.person_new')}</option>
            ${voices.map((one) => html`<option key=${one.id} value=${one.id} selected=${one.id === person}>${one.name}</option>`)}
          </select>
        </label>`
      }
      ${!person && html`<${NewPerson} name=${speaker.name ?? ''} />`}
    <//>
  `;
}

/** @param {{ name: string }} props */
function NewPerson({ name }) {
  return html`
    <${Field} label=${t('voices.name')} name="name" defaultValue=${name} required maxlength=${LONGEST_NAME} autocomplete="off" />
    <label class="choice">
      <input type="checkbox" name="agreed" required />
      <span>${t('voices.agreed')}</span>
    </label>
    <${Field} label=${t('voices.statement')} name="consent" required maxlength=${LONGEST_STATEMENT} autocomplete="off"
      hint=${t('voices.statement_why')} />
  `;
}
