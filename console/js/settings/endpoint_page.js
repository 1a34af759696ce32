// @ts-check
// One webhook endpoint: what it gets, and what can be done with it.
import { html, useState } from '../lib.js';
import { get, patch, post, remove } from '../api.js';
import { list, moment } from '../format.js';
import { t } from '../i18n.js';
import { go } from '../router.js';
import { may } from '../session.js';
import { announce, report } from '../ui/announce.js';
import { Secret } from '../ui/copy.js';
import { Confirm } from '../ui/dialog.js';
import { Icon } from '../ui/icon.js';
import { useLoad } from '../ui/load.js';
import { Failure, Loading } from '../ui/states.js';
import { useTitle } from '../ui/title.js';
import { Deliveries } from './deliveries.js';
import { Enabled, eventName } from './webhook.js';

const DAY_MS = 86_400_000;
const REPLAY_DAYS = 7;

/** @param {{ id: string }} props */
export function Endpoint({ id }) {
  const path = `v1/webhooks/${encodeURIComponent(id)}`;
  const { data, failure, load } = useLoad((abort) => get(path, {}, { signal: abort }), [id]);
  const [changes, setChanges] = useState(0);
  useTitle(data?.url ?? t('webhooks.title'));
  if (failure) return html`<${Failure} error=${failure} again=${load} />`;
  if (!data) return html`<${Loading} />`;
  const done = () => {
    load();
    setChanges((n) => n + 1);
  };
  return html`
    <section class="card padded stack">
      <div class="page-head">
        <h2 class="wrap">${data.url}</h2>
        <${Enabled} endpoint=${data} />
      </div>
      ${data.description && html`<p>${data.description}</p>`}
      <p class="hint">
        ${list(data.events.map(eventName))} · ${t('api_keys.since', { time: moment(data.created_at) })}
        ${data.disabled_reason && html` · ${data.disabled_reason}`}
      </p>
      ${may('admin') && html`<${Doings} endpoint=${data} path=${path} done=${done} />`}
    </section>
    <${Deliveries} key=${changes} path="${path}/deliveries" title=${t('deliveries.title')} />
  `;
}

/** @param {{ endpoint: Webhook, path: string, done: () => void }} props */
function Doings({ endpoint, path, done }) {
  const [asking, setAsking] = useState(/** @type {'rotate' | 'delete' | null} */ (null));
  const [secret, setSecret] = useState(/** @type {string | null} */ (null));
  const close = () => setAsking(null);
  /**
   * @param {() => Promise<any>} what
   * @param {(result: any) => string} words
   */
  const doing = (what, words) => async () => {
    try {
      const result = await what();
      announce(words(result));
      done();
    } catch (error) {
      report(error);
    }
  };
  const test = doing(
    () => post(`${path}/test`),
    () => t('webhooks.tested'),
  );
  const toggle = doing(
    () => patch(path, { enabled: !endpoint.enabled }),
    () => t(endpoint.enabled ? 'webhooks.turned_off' : 'webhooks.turned_on'),
  );
  const replay = doing(
    () => post(`${path}/replay`, { since: new Date(Date.now() - REPLAY_DAYS * DAY_MS).toISOString(), only_dead: true }),
    (result) => t('webhooks.replayed', { n: result.replayed }),
  );
  const rotate = async () => setSecret((await post(`${path}/rotate`)).secret);
  const erase = async () => {
    await remove(path, { again: true });
    go('#/settings/webhooks');
  };
  return html`
    <div class="row">
      <button class="primary small" disabled=${!endpoint.enabled} onClick=${test}>${t('webhooks.test')}</button>
      <button class="small" disabled=${!endpoint.enabled} onClick=${replay}>
        <${Icon} name="retry" />${t('webhooks.replay', { n: REPLAY_DAYS })}
      </button>
      <button class="small" onClick=${toggle}>${t(endpoint.enabled ? 'webhooks.turn_off' : 'webhooks.turn_on')}</button>
      <button class="small" onClick=${() => setAsking('rotate')}>${t('webhooks.rotate')}</button>
      <button class="small" onClick=${() => setAsking('delete')}><${Icon} name="trash" />${t('webhooks.delete')}</button>
    </div>
    ${
      asking === 'rotate' &&
      html`<${Confirm} title=${t('webhooks.rotate_title')} words=${t('webhooks.rotate_why')} doing=${t('webhooks.rotate')}
      danger=${false} act=${rotate} close=${close} />`
    }
    ${
      asking === 'delete' &&
      html`<${Confirm} title=${t('webhooks.delete_title')} words=${t('webhooks.delete_why')} doing=${t('webhooks.delete')}
      act=${erase} close=${close} />`
    }
    ${
      secret &&
      html`<${Secret} title=${t('webhooks.secret')} words=${t('webhooks.once')} value=${secret} close=${() => setSecret(null)} />`
    }
  `;
}
