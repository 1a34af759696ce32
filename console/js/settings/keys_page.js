// @ts-check
// API keys: make, rotate, revoke. A key is shown once.
import { html, useRef, useState } from '../lib.js';
import { caller, get, post, remove } from '../api.js';
import { moment } from '../format.js';
import { t } from '../i18n.js';
import { Secret } from '../ui/copy.js';
import { Confirm } from '../ui/dialog.js';
import { Icon } from '../ui/icon.js';
import { useLoad } from '../ui/load.js';
import { Empty, Failure, Loading } from '../ui/states.js';
import { useTitle } from '../ui/title.js';
import { NewKey } from './new_key.js';
import { Sharing } from './sharing.js';

const GRACE_HOURS = 24;
// Of the server's settings: it is changed there, and would come back at the next start.
const OF_SETTINGS = 'PARAQUEUE_ADMIN_KEY';

export function Keys() {
  useTitle(t('api_keys.title'));
  /** @typedef {{ what: 'new' } | { what: 'revoke' | 'rotate', key: ApiKey } | { what: 'secret', key: ApiKey & { key?: string } }} Open */
  const [open, setOpen] = useState(/** @type {Open | null} */ (null));
  const { data, failure, load } = useLoad((abort) => get('v1/keys', { limit: 1000 }, { signal: abort }), []);
  const close = () => setOpen(null);
  /** @param {ApiKey} key */
  const made = (key) => {
    setOpen({ what: 'secret', key });
    load();
  };
  return html`
    <div class="page-head">
      <p class="muted">${t('api_keys.why')}</p>
      <button class="primary" onClick=${() => setOpen({ what: 'new' })}><${Icon} name="key" />${t('api_keys.new')}</button>
    </div>
    ${failure && html`<${Failure} error=${failure} again=${load} />`}
    ${!data && !failure && html`<${Loading} />`}
    ${data && (data.data.length ? html`<${List} keys=${data.data} ask=${setOpen} />` : html`<${Empty} icon="key" title=${t('api_keys.none')} />`)}
    <${Sharing} />
    ${open?.what === 'new' && html`<${NewKey} made=${made} close=${close} />`}
    ${
      open?.what === 'secret' &&
      html`<${Secret} title=${t('api_keys.made')} words=${t('api_keys.once', { name: open.key.name })} value=${open.key.key} close=${close} />`
    }
    ${open?.what === 'revoke' && html`<${Revoke} of=${open.key} close=${close} done=${load} />`}
    ${open?.what === 'rotate' && html`<${Rotate} of=${open.key} close=${close} made=${made} />`}
  `;
}

/** @param {{ keys: ApiKey[], ask: (what: any) => void }} props */
function List({ keys, ask }) {
  const sorted = [...keys].sort((a, b) => Number(Boolean(a.revoked_at)) - Number(Boolean(b.revoked_at)));
  return html`<ul class="card rows">${sorted.map((key) => html`<${Line} key=${key.id} of=${key} ask=${ask} />`)}</ul>`;
}

/** @param {{ of: ApiKey, ask: (what: any) => void }} props */
function Line({ of: key, ask }) {
  const over = key.revoked_at || (key.expires_at && new Date(key.expires_at) < new Date());
  return html`
    <li class=${over ? 'setting over' : 'setting'}>
      <div class="line-main">
        <p class="setting-name">${key.name} <span class="mono muted">${key.hint}…</span></p>
        <p class="hint">${describe(key)}</p>
      </div>
      <span class="row">
        ${
          over
            ? html`<span class="pill bad">${t(key.revoked_at ? 'api_keys.revoked' : 'api_keys.expired')}</span>`
            : key.scopes.map((scope) => html`<span class="pill" key=${scope}>${t(`scope.${scope}`)}</span>`)
        }
      </span>
      <span class="job-actions">
        ${
          !over &&
          key.name !== OF_SETTINGS &&
          html`
          <button class="quiet small" aria-label=${t('api_keys.rotate_of', { name: key.name })} onClick=${() => ask({ what: 'rotate', key })}>
            ${t('api_keys.rotate')}
          </button>
          <button class="quiet small" aria-label=${t('api_keys.revoke_of', { name: key.name })} onClick=${() => ask({ what: 'revoke', key })}>
            ${t('api_keys.revoke')}
          </button>
        `
        }
      </span>
    </li>
  `;
}

/** @param {ApiKey} key */
function describe(key) {
  const parts = [];
  if (caller.value?.operator) parts.push(t('api_keys.tenant_of', { tenant: key.tenant }));
  parts.push(t('api_keys.since', { time: moment(key.created_at) }));
  parts.push(key.last_used_at ? t('api_keys.used', { time: moment(key.last_used_at) }) : t('api_keys.unused'));
  if (key.expires_at) parts.push(t('api_keys.until', { time: moment(key.expires_at) }));
  const limits = Object.entries(key.limits).filter(([, value]) => value !== null);
  if (key.max_priority !== 5) parts.push(t('limit.max_priority', { n: key.max_priority }));
  for (const [name, value] of limits) parts.push(t(`limit.${name}`, { n: value }));
  return parts.join(' · ');
}

/** @param {{ of: ApiKey, close: () => void, done: () => void }} props */
function Revoke({ of: key, close, done }) {
  const act = async () => {
    await remove(`v1/keys/${key.id}`, { again: true });
    done();
  };
  const words = t('api_keys.revoke_why', { name: key.name });
  return html`<${Confirm} title=${t('api_keys.revoke_title')} words=${words} doing=${t('api_keys.revoke')} act=${act} close=${close} />`;
}

/** @param {{ of: ApiKey, close: () => void, made: (made: any) => void }} props */
function Rotate({ of: key, close, made }) {
  const fresh = useRef(null);
  const act = async () => {
    fresh.current = await post(`v1/keys/${key.id}/rotate`, { grace_hours: GRACE_HOURS });
  };
  const left = () => (fresh.current ? made(fresh.current) : close());
  const words = t('api_keys.rotate_why', { name: key.name, n: GRACE_HOURS });
  return html`
    <${Confirm} title=${t('api_keys.rotate_title')} words=${words} doing=${t('api_keys.rotate')} danger=${false} act=${act} close=${left} />
  `;
}
