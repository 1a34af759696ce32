// @ts-check
// Webhook endpoints, and the log of all deliveries.
import { html, useState } from '../lib.js';
import { get, post } from '../api.js';
import { list } from '../format.js';
import { t } from '../i18n.js';
import { link } from '../router.js';
import { may } from '../session.js';
import { Secret } from '../ui/copy.js';
import { Field, FormDialog, Ticks } from '../ui/form_dialog.js';
import { Icon } from '../ui/icon.js';
import { useLoad } from '../ui/load.js';
import { Empty, Failure, Loading } from '../ui/states.js';
import { useTitle } from '../ui/title.js';
import { Deliveries } from './deliveries.js';
import { EVENTS, Enabled, USUAL, eventName } from './webhook.js';

export function Webhooks() {
  useTitle(t('webhooks.title'));
  const [asking, setAsking] = useState(false);
  const [made, setMade] = useState(/** @type {Webhook & { secret?: string } | null} */ (null));
  const { data, failure, load } = useLoad((abort) => get('v1/webhooks', {}, { signal: abort }), []);
  /** @param {Webhook} endpoint */
  const keep = (endpoint) => {
    setAsking(false);
    setMade(endpoint);
    load();
  };
  return html`
    <div class="page-head">
      <p class="muted">${t('webhooks.why')}</p>
      ${
        may('admin') &&
        html`<button class="primary" onClick=${() => setAsking(true)}><${Icon} name="hook" />${t('webhooks.new')}</button>`
      }
    </div>
    ${failure && html`<${Failure} error=${failure} again=${load} />`}
    ${!data && !failure && html`<${Loading} />`}
    ${data?.data.length > 0 && html`<${List} endpoints=${data.data} />`}
    ${data?.data.length === 0 && html`<div class="card"><${Empty} icon="hook" title=${t('webhooks.none')} /></div>`}
    <${Deliveries} path="v1/webhooks/deliveries" title=${t('deliveries.title_all')} />
    ${asking && html`<${NewEndpoint} made=${keep} close=${() => setAsking(false)} />`}
    ${
      made &&
      html`<${Secret} title=${t('webhooks.secret')} words=${t('webhooks.once')} value=${made.secret} close=${() => setMade(null)} />`
    }
  `;
}

/** @param {{ endpoints: Webhook[] }} props */
function List({ endpoints }) {
  return html`
    <ul class="card rows">
      ${endpoints.map(
        (endpoint) => html`
          <li class="setting" key=${endpoint.id}>
            <div class="line-main">
              <a class="job-name" href=${link('settings', 'webhooks', endpoint.id)}><span>${endpoint.url}</span></a>
              <p class="hint">${[endpoint.description, list(endpoint.events.map(eventName))].filter(Boolean).join(' · ')}</p>
            </div>
            <${Enabled} endpoint=${endpoint} />
            <span></span>
          </li>
        `,
      )}
    </ul>
  `;
}

/** @param {{ made: (made: any) => void, close: () => void }} props */
function NewEndpoint({ made, close }) {
  /** @param {FormData} form */
  const send = async (form) => {
    const body = {
      url: String(form.get('url')).trim(),
      events: form.getAll('events'),
      description: String(form.get('description')).trim(),
    };
    made(await post('v1/webhooks', body));
  };
  const events = EVENTS.map((event) => ({ value: event, words: eventName(event) }));
  return html`
    <${FormDialog} title=${t('webhooks.new')} doing=${t('webhooks.make')} send=${send} close=${close}>
      <${Field} label=${t('webhooks.url')} name="url" type="url" required placeholder="https://example.com/hook" />
      <${Field} label=${t('webhooks.description')} name="description" maxlength="500" />
      <${Ticks} name="events" legend=${t('webhooks.events')} items=${events} chosen=${USUAL} />
    <//>
  `;
}
