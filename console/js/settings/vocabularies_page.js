// @ts-check
// Vocabularies: names, terms and masked words that many transcriptions share.
import { html, useState } from '../lib.js';
import { get, post } from '../api.js';
import { moment } from '../format.js';
import { t } from '../i18n.js';
import { go, link } from '../router.js';
import { may } from '../session.js';
import { Field, FormDialog } from '../ui/form_dialog.js';
import { Icon } from '../ui/icon.js';
import { useLoad } from '../ui/load.js';
import { Empty, Failure, Loading } from '../ui/states.js';
import { useTitle } from '../ui/title.js';

// A tenant has no more.
const PAGE = 100;

export function Vocabularies() {
  useTitle(t('vocabularies.title'));
  const [asking, setAsking] = useState(false);
  const { data, failure, load } = useLoad((abort) => get('v1/vocabularies', { limit: PAGE }, { signal: abort }), []);
  return html`
    <div class="page-head">
      <p class="muted">${t('vocabularies.why')}</p>
      ${
        may('submit') &&
        html`<button class="primary" onClick=${() => setAsking(true)}><${Icon} name="book" />${t('vocabularies.new')}</button>`
      }
    </div>
    ${failure && html`<${Failure} error=${failure} again=${load} />`}
    ${!data && !failure && html`<${Loading} />`}
    ${data?.data.length > 0 && html`<${List} vocabularies=${data.data} />`}
    ${data?.data.length === 0 && html`<div class="card"><${Empty} icon="book" title=${t('vocabularies.none')} /></div>`}
    ${asking && html`<${NewVocabulary} close=${() => setAsking(false)} />`}
  `;
}

/** @param {{ vocabularies: Vocabulary[] }} props */
function List({ vocabularies }) {
  return html`
    <ul class="card rows">
      ${vocabularies.map(
        (one) => html`
          <li class="setting" key=${one.id}>
            <div class="line-main">
              <a class="job-name" href=${link('settings', 'vocabularies', one.id)}><span>${one.name}</span></a>
              <p class="hint">${describe(one)}</p>
            </div>
          </li>
        `,
      )}
    </ul>
  `;
}

/** @param {Vocabulary} vocabulary */
function describe({ hotword_count: hotwords, masked_word_count: masked, updated_at: changed }) {
  const parts = [
    t('vocabularies.hotwords_n', { n: hotwords }),
    t('vocabularies.masked_n', { n: masked }),
    t('vocabularies.changed', { time: moment(changed) }),
  ];
  return parts.join(' · ');
}

// The words are typed on the page of the vocabulary, where there is room.
/** @param {{ close: () => void }} props */
function NewVocabulary({ close }) {
  /** @param {FormData} form */
  const send = async (form) => {
    const made = await post('v1/vocabularies', { name: String(form.get('name')).trim() });
    go(link('settings', 'vocabularies', made.id));
  };
  return html`
    <${FormDialog} title=${t('vocabularies.new')} doing=${t('vocabularies.make')} send=${send} close=${close}>
      <${Field} label=${t('vocabularies.name')} name="name" required maxlength="100" autocomplete="off" hint=${t('vocabularies.name_why')} />
    <//>
  `;
}
