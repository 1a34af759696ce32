// @ts-check
// One template for summaries: its name and instructions, which are saved together.
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
import { useEditing } from './editing.js';

/** @param {{ id: string }} props */
export function TemplatePage({ id }) {
  const path = `v1/summary-templates/${encodeURIComponent(id)}`;
  const { data, failure, load } = useLoad((abort) => get(path, {}, { signal: abort }), [id]);
  useTitle(data?.name ?? t('templates.title'));
  if (failure) return html`<${Failure} error=${failure} again=${load} />`;
  if (!data) return html`<${Loading} />`;
  return html`<${Form} key=${data.revision} template=${data} path=${path} done=${load} />`;
}

/** @param {{ template: SummaryTemplate, path: string, done: () => void }} props */
function Form({ template, path, done }) {
  const [name, setName] = useState(template.name);
  const [prompt, setPrompt] = useState(template.prompt);
  const allowed = may('submit');
  const { busy, failure, save, erase, erasing, setErasing } = useEditing({
    path,
    list: '#/settings/templates',
    changes: () => ({ name: name.trim(), prompt: prompt.trim(), revision: template.revision }),
    saved: t('templates.saved'),
    done,
  });
  return html`
    <form class="card padded stack" onSubmit=${save}>
      <${Field} label=${t('templates.name')} value=${name} required maxlength="100" autocomplete="off" disabled=${!allowed}
        onInput=${(/** @type {AnyEvent} */ event) => setName(event.target.value)} />
      <label class="field">
        <span class="label">${t('templates.prompt')}</span>
        <textarea rows="10" required maxlength="4000" disabled=${!allowed} value=${prompt}
          onInput=${(/** @type {AnyEvent} */ event) => setPrompt(event.target.value)}></textarea>
        <span class="hint">${t('templates.prompt_why')}</span>
      </label>
      <p class="hint">${t('templates.changed', { time: moment(template.updated_at) })} · ${t('templates.kept')}</p>
      ${failure && html`<${Failure} error=${failure} />`}
      ${
        allowed &&
        html`<div class="row">
        <button class="primary" type="submit" disabled=${busy}>${t('templates.save')}</button>
        <button type="button" onClick=${() => setErasing(true)}><${Icon} name="trash" />${t('templates.delete')}</button>
      </div>`
      }
    </form>
    ${
      erasing &&
      html`<${Confirm} title=${t('templates.delete_title', { name: template.name })} words=${t('templates.delete_why')}
        doing=${t('templates.delete')} act=${erase} close=${() => setErasing(false)} />`
    }
  `;
}
