// @ts-check
// One vocabulary: its name and words, which are saved together.
import { html, useState } from '../lib.js';
import { get } from '../api.js';
import { moment } from '../format.js';
import { t } from '../i18n.js';
import { may } from '../session.js';
import { Confirm } from '../ui/dialog.js';
import { Field } from '../ui/form_dialog.js';
import { Icon } from '../ui/icon.js';
import { useLoad } from '../ui/load.js';
import { Failure, Loading } from '../ui/states.js';
import { useTitle } from '../ui/title.js';
import { WordsField } from '../ui/words_field.js';
import { firstWrong, linesOf, wordsOf } from '../words.js';
import { useEditing } from './editing.js';

const MOST_WORDS = 1000;

/** @param {{ id: string }} props */
export function VocabularyPage({ id }) {
  const path = `v1/vocabularies/${encodeURIComponent(id)}`;
  const { data, failure, load } = useLoad((abort) => get(path, {}, { signal: abort }), [id]);
  useTitle(data?.name ?? t('vocabularies.title'));
  if (failure) return html`<${Failure} error=${failure} again=${load} />`;
  if (!data) return html`<${Loading} />`;
  return html`<${Form} key=${data.revision} vocabulary=${data} path=${path} done=${load} />`;
}

/** @param {{ vocabulary: VocabularyWords, path: string, done: () => void }} props */
function Form({ vocabulary, path, done }) {
  const [name, setName] = useState(vocabulary.name);
  const [hotwords, setHotwords] = useState(vocabulary.hotwords.join('\n'));
  const [masked, setMasked] = useState(vocabulary.masked_words.join('\n'));
  const allowed = may('submit');
  const { busy, failure, save, erase, erasing, setErasing } = useEditing({
    path,
    list: '#/settings/vocabularies',
    changes: () => ({
      name: name.trim(),
      hotwords: wordsOf(hotwords),
      masked_words: linesOf(masked),
      revision: vocabulary.revision,
    }),
    saved: t('vocabularies.saved'),
    done,
  });
  return html`
    <form class="card padded stack" onSubmit=${save}>
      <${Field} label=${t('vocabularies.name')} value=${name} required maxlength="100" autocomplete="off" disabled=${!allowed}
        onInput=${(/** @type {AnyEvent} */ event) => setName(event.target.value)} />
      <${WordsField} label=${t('options.hotwords')} hint=${t('vocabularies.hotwords_why')} value=${hotwords} change=${setHotwords}
        rows="10" most=${MOST_WORDS} split=${wordsOf} wrong=${firstWrong} disabled=${!allowed} />
      <${WordsField} label=${t('vocabularies.masked')} hint=${t('vocabularies.masked_why')} value=${masked} change=${setMasked}
        rows="10" most=${MOST_WORDS} split=${linesOf} disabled=${!allowed} />
      <p class="hint">${t('vocabularies.changed', { time: moment(vocabulary.updated_at) })} · ${t('vocabularies.kept')}</p>
      ${failure && html`<${Failure} error=${failure} />`}
      ${
        allowed &&
        html`<div class="row">
        <button class="primary" type="submit" disabled=${busy}>${t('vocabularies.save')}</button>
        <button type="button" onClick=${() => setErasing(true)}><${Icon} name="trash" />${t('vocabularies.delete')}</button>
      </div>`
      }
    </form>
    ${
      erasing &&
      html`<${Confirm} title=${t('vocabularies.delete_title', { name: vocabulary.name })} words=${t('vocabularies.delete_why')}
        doing=${t('vocabularies.delete')} act=${erase} close=${() => setErasing(false)} />`
    }
  `;
}
