// @ts-check
// The form of a new API key.
import { html } from '../lib.js';
import { caller, post } from '../api.js';
import { t } from '../i18n.js';
import { Field, FormDialog, Ticks } from '../ui/form_dialog.js';

const SCOPES = ['submit', 'read', 'admin'];
const LIMITS = ['requests_per_minute', 'max_running', 'max_queued', 'audio_minutes_per_day', 'audio_minutes_per_month'];

// The form as the API takes it: what is left empty takes the installation's settings.
/** @param {FormData} form */
function bodyOf(form) {
  /** @type {Record<string, number>} */
  const limits = {};
  for (const name of LIMITS) {
    if (form.get(name)) limits[name] = Number(form.get(name));
  }
  const ends = form.get('expires_on');
  return {
    name: String(form.get('name')).trim(),
    scopes: form.getAll('scopes'),
    limits,
    ...(form.get('max_priority') && { max_priority: Number(form.get('max_priority')) }),
    ...(form.get('tenant') && { tenant: String(form.get('tenant')).trim() }),
    ...(ends && { expires_at: new Date(`${ends}T23:59:59`).toISOString() }),
  };
}

/** @param {{ made: (made: any) => void, close: () => void }} props */
export function NewKey({ made, close }) {
  /** @param {FormData} form */
  const send = async (form) => made(await post('v1/keys', bodyOf(form)));
  const scopes = SCOPES.map((value) => ({ value, words: t(`scope.${value}`), hint: t(`scope.${value}_why`) }));
  return html`
    <${FormDialog} title=${t('api_keys.new')} doing=${t('api_keys.make')} send=${send} close=${close}>
      <${Field} label=${t('api_keys.name')} name="name" required maxlength="100" autocomplete="off" />
      <${Ticks} name="scopes" legend=${t('api_keys.scopes')} items=${scopes} chosen=${['submit', 'read']} />
      <${Field} label=${t('api_keys.expires')} name="expires_on" type="date" hint=${t('api_keys.expires_why')} />
      ${
        caller.value?.operator &&
        html`<${Field} label=${t('api_keys.tenant')} name="tenant" maxlength="63" placeholder=${caller.value?.tenant} />`
      }
      <details>
        <summary>${t('api_keys.limits')}</summary>
        <div class="stack inset">
          <p class="hint">${t('api_keys.limits_why')}</p>
          ${LIMITS.map(
            (name) =>
              html`<${Field} key=${name} label=${t(`limit_name.${name}`)} name=${name} type="number" min="0" step="1" />`,
          )}
          <${Field} label=${t('api_keys.max_priority')} name="max_priority" type="number" min="0" max="9" step="1" placeholder="5" />
        </div>
      </details>
    <//>
  `;
}
