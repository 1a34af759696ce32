// @ts-check
// Templates for summaries: instructions of the tenant's own.
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

export function Templates() {
  useTitle(t('templates.title'));
  const [asking, setAsking] = useState(false);
  const { data, failure, load } = useLoad(
    (abort) => get('v1/summary-templates', { limit: PAGE }, { signal: abort }),
    [],
  );
  return html`
    <div class="page-head">
      <p class="muted">${t('templates.why')}</p>
      ${
        may('submit') &&
        html`<button class="primary" onClick=${() => setAsking(true)}><${Icon} name="list" />${t('templates.new')}</button>`
      }
    </div>
    ${failure && html`<${Failure} error=${failure} again=${load} />`}
    ${!data && !failure && html`<${Loading} />`}
    ${data?.data.length > 0 && html`<${List} templates=${data.data} />`}
    ${data?.data.length === 0 && html`<div class="card"><${Empty} icon="list" title=${t('templates.none')} /></div>`}
    ${asking && html`<${NewTemplate} close=${() => setAsking(false)} />`}
  `;
}

/** @param {{ templates: SummaryTemplate[] }} props */
function List({ templates }) {
  return html`
    <ul class="card rows">
      ${templates.map(
        (one) => html`
          <li class="setting" key=${one.id}>
            <div class="line-main">
              <a class="job-name" href=${link('settings', 'templates', one.id)}><span>${one.name}</span></a>
              <p class="hint">${t('templates.changed', { time: moment(one.updated_at) })}</p>
            </div>
          </li>
        `,
      )}
    </ul>
  `;
}

// The instructions can be changed on the page of the template.
/** @param {{ close: () => void }} props */
function NewTemplate({ close }) {
  /** @param {FormData} form */
  const send = async (form) => {
    const wanted = { name: String(form.get('name')).trim(), prompt: String(form.get('prompt')).trim() };
    const made = await post('v1/summary-templates', wanted);
    go(link('settings', 'templates', made.id));
  };
  return html`
    <${FormDialog} title=${t('templates.new')} doing=${t('templates.make')} send=${send} close=${close}>
      <${Field} label=${t('templates.name')} name="name" required maxlength="100" autocomplete="off" />
      <label class="field">
        <span class="label">${t('templates.prompt')}</span>
        <textarea name="prompt" rows="6" required maxlength="4000"></textarea>
        <span class="hint">${t('templates.prompt_why')}</span>
      </label>
    <//>
  `;
}
