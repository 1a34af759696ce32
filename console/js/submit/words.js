// @ts-check
// Names and terms of a recording: typed here, or kept in a vocabulary.
import { html, useEffect } from '../lib.js';
import { get } from '../api.js';
import { t } from '../i18n.js';
import { link } from '../router.js';
import { may } from '../session.js';
import { useLoad } from '../ui/load.js';
import { Failure } from '../ui/states.js';
import { WordsField } from '../ui/words_field.js';
import { firstWrong, wordsOf } from '../words.js';

// As many as one transcription takes besides its vocabulary; a tenant has no more vocabularies than a page.
const MOST_HOTWORDS = 200;
const PAGE = 100;

/** @typedef {{ chosen: { hotwords: string, vocabulary: string }, change: (values: Record<string, any>) => void }} WordsProps */

// In the API's form, without what is not given.
/** @param {{ hotwords: string, vocabulary: string }} chosen */
export function chosenWords({ hotwords, vocabulary }) {
  const words = wordsOf(hotwords);
  return {
    ...(words.length && { hotwords: words }),
    ...(vocabulary && may('read') && { vocabulary_id: vocabulary }),
  };
}

/** @param {WordsProps} props */
export function Words({ chosen, change }) {
  return html`
    <${WordsField} label=${t('options.hotwords')} hint=${t('options.hotwords_why')} placeholder=${t('options.hotwords_example')}
      value=${chosen.hotwords} rows="2" most=${MOST_HOTWORDS} split=${wordsOf} wrong=${firstWrong}
      change=${(/** @type {string} */ hotwords) => change({ hotwords })} />
    ${may('read') && html`<${Vocabulary} chosen=${chosen} change=${change} />`}
  `;
}

// A chosen vocabulary that is gone is let go of.
/** @param {WordsProps} props */
function Vocabulary({ chosen, change }) {
  const { data, failure, load } = useLoad((abort) => get('v1/vocabularies', { limit: PAGE }, { signal: abort }), []);
  /** @type {Vocabulary[] | undefined} */
  const all = data?.data;
  useEffect(() => {
    if (all && chosen.vocabulary && !all.some((one) => one.id === chosen.vocabulary)) change({ vocabulary: '' });
  }, [all]);
  return html`
    <label class="field">
      <span class="label">${t('options.vocabulary')}</span>
      <select disabled=${!all?.length} onChange=${(/** @type {AnyEvent} */ event) => change({ vocabulary: event.target.value })}>
        <option value="" selected=${!chosen.vocabulary}>${t('options.vocabulary_none')}</option>
        ${all?.map((one) => html`<option value=${one.id} selected=${one.id === chosen.vocabulary}>${one.name}</option>`)}
      </select>
    </label>
    ${failure && html`<${Failure} error=${failure} again=${load} />`}
    <a class="hint" href=${link('settings', 'vocabularies')}>${t('options.vocabulary_manage')}</a>
  `;
}
