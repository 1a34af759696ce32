// @ts-check
// The log of webhook deliveries: how each went, and sending it again.
import { html, useState } from '../lib.js';
import { get, post } from '../api.js';
import { moment } from '../format.js';
import { has, t } from '../i18n.js';
import { link } from '../router.js';
import { may } from '../session.js';
import { announce, report } from '../ui/announce.js';
import { Icon } from '../ui/icon.js';
import { useLoad } from '../ui/load.js';
import { Empty, Failure, Loading } from '../ui/states.js';
import { eventName } from './webhook.js';

const STATUSES = ['pending', 'delivered', 'dead'];
const KINDS = { pending: 'wait', delivered: 'good', dead: 'bad' };
const AGAIN_MS = 3000;
const PAGE = 20;

/** @param {{ path: string, title: string }} props */
export function Deliveries({ path, title }) {
  const [status, setStatus] = useState('');
  const [limit, setLimit] = useState(PAGE);
  /** @param {AbortSignal} abort */
  const read = (abort) => get(path, { status, limit }, { signal: abort });
  const { data, failure, load } = useLoad(read, [path, status, limit], { everyMs: AGAIN_MS });
  return html`
    <section class="stack" aria-labelledby="deliveries-title">
      <div class="page-head">
        <h2 id="deliveries-title">${title}</h2>
        <label class="row">
          <span class="label">${t('filters.status')}</span>
          <select class="narrow" onChange=${(/** @type {AnyEvent} */ event) => setStatus(event.target.value)}>
            <option value="" selected=${!status}>${t('filters.any')}</option>
            ${STATUSES.map(
              (value) => html`<option value=${value} selected=${value === status}>${t(`delivery.${value}`)}</option>`,
            )}
          </select>
        </label>
      </div>
      ${failure && html`<${Failure} error=${failure} again=${load} />`}
      ${!data && !failure && html`<${Loading} />`}
      ${data?.data.length === 0 && html`<div class="card"><${Empty} icon="list" title=${t('deliveries.none')} /></div>`}
      ${
        data?.data.length > 0 &&
        html`<ul class="card rows">
        ${data.data.map((/** @type {Delivery} */ delivery) => html`<${Line} key=${delivery.id} delivery=${delivery} done=${load} />`)}
      </ul>`
      }
      ${
        data?.next &&
        limit < 100 &&
        html`<p class="center"><button onClick=${() => setLimit(Math.min(100, limit + 2 * PAGE))}>${t('state.more')}</button></p>`
      }
    </section>
  `;
}

/** @param {{ delivery: Delivery, done: () => void }} props */
function Line({ delivery, done }) {
  const replay = async () => {
    try {
      await post(`v1/webhooks/deliveries/${delivery.id}/replay`, undefined, { again: true });
      announce(t('deliveries.replayed'));
      done();
    } catch (error) {
      report(error);
    }
  };
  return html`
    <li class="setting">
      <div class="line-main">
        <p class="setting-name">${eventName(delivery.type)}</p>
        <p class="hint">${describe(delivery)}</p>
        ${
          delivery.transcription_id &&
          html`<a class="hint" href=${link('t', delivery.transcription_id)}>${t('deliveries.of')}</a>`
        }
        ${
          delivery.last_answer &&
          html`<details><summary class="hint">${t('deliveries.answer')}</summary><p class="mono">${delivery.last_answer}</p></details>`
        }
      </div>
      <span class="pill ${KINDS[delivery.status]}">${t(`delivery.${delivery.status}`)}</span>
      <span class="job-actions">
        ${
          may('admin') &&
          html`<button class="quiet small" onClick=${replay}><${Icon} name="retry" />${t('deliveries.again')}</button>`
        }
      </span>
    </li>
  `;
}

// Why an attempt failed. The worker names a failed connection with the kind of its error.
/** @param {string} error */
function reason(error) {
  const broken = error === 'connection: ConnectError' ? 'not_connected' : 'connection_lost';
  const key = `delivery_error.${error.startsWith('connection: ') ? broken : error}`;
  return has(key) ? t(key) : error;
}

/** @param {Delivery} delivery */
function describe(delivery) {
  const parts = [moment(delivery.created_at), t('deliveries.tries', { n: delivery.attempts })];
  if (delivery.last_status) parts.push(`HTTP ${delivery.last_status}`);
  if (delivery.last_error) parts.push(reason(delivery.last_error));
  if (delivery.status === 'pending' && delivery.next_attempt_at) {
    parts.push(t('deliveries.next', { time: moment(delivery.next_attempt_at) }));
  }
  if (delivery.url) parts.push(delivery.url);
  return parts.join(' · ');
}
