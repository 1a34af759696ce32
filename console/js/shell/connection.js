// @ts-check
// Shows that the API does not respond and that the console keeps trying.
import { html } from '../lib.js';
import { connection } from '../api.js';
import { t } from '../i18n.js';
import { Icon } from '../ui/icon.js';

export function Connection() {
  return html`
    <div role="status" aria-live="polite" class="connection-place">
      ${
        connection.value === 'lost' &&
        html`<p class="connection"><${Icon} name="plug" /> <span>${t('connection.lost')}</span></p>`
      }
    </div>
  `;
}
