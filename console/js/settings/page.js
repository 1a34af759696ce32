// @ts-check
// Settings: usage, vocabularies, templates, keys, webhooks; each needs its scope.
import { html } from '../lib.js';
import { t } from '../i18n.js';
import { link } from '../router.js';
import { caller } from '../api.js';
import { may } from '../session.js';
import { Icon } from '../ui/icon.js';
import { Empty, NotFound } from '../ui/states.js';
import { Endpoint } from './endpoint_page.js';
import { Keys } from './keys_page.js';
import { TemplatePage } from './template_page.js';
import { Templates } from './templates_page.js';
import { Usage } from './usage_page.js';
import { Vocabularies } from './vocabularies_page.js';
import { VocabularyPage } from './vocabulary_page.js';
import { Webhooks } from './webhooks_page.js';

const SECTIONS = [
  { id: 'usage', icon: 'chart', words: 'usage.title', scope: 'read', component: Usage },
  {
    id: 'vocabularies',
    icon: 'book',
    words: 'vocabularies.title',
    scope: 'read',
    component: Vocabularies,
    one: VocabularyPage,
  },
  { id: 'templates', icon: 'list', words: 'templates.title', scope: 'read', component: Templates, one: TemplatePage },
  { id: 'keys', icon: 'key', words: 'api_keys.title', scope: 'admin', component: Keys },
  { id: 'webhooks', icon: 'hook', words: 'webhooks.title', scope: 'read', component: Webhooks, one: Endpoint },
];

/** @param {{ section: string, id: string }} props */
export function Settings({ section, id }) {
  const allowed = SECTIONS.filter((one) => may(one.scope));
  const shown = section ? allowed.find((one) => one.id === section) : allowed[0];
  if (section && (!shown || (id && !shown.one))) return html`<${NotFound} />`;
  const component = id ? shown?.one : shown?.component;
  return html`
    <div class="page">
      <div class="page-head">
        <div>
          <h1>${t('settings.title')}</h1>
          ${
            caller.value?.authentication === 'on' &&
            html`<p class="muted">${t('settings.who', { name: caller.value?.name, tenant: caller.value?.tenant })}</p>`
          }
        </div>
      </div>
      <nav class="segments" aria-label=${t('settings.title')}>
        ${allowed.map(
          (one) => html`
            <a key=${one.id} href=${link('settings', one.id)} aria-current=${one === shown ? 'page' : null}>
              <${Icon} name=${one.icon} />${t(one.words)}
            </a>
          `,
        )}
      </nav>
      ${shown ? html`<${component} key=${id ?? shown.id} id=${id} />` : html`<${Empty} icon="key" title=${t('settings.none')} />`}
    </div>
  `;
}
