// Settings: usage, keys, webhooks; each only for who may.
import { html } from '../lib.js';
import { t } from '../i18n.js';
import { useTitle } from '../ui/title.js';

export function Settings() {
  useTitle(t('settings.title'));
  return html`<div class="page"><h1>${t('settings.title')}</h1></div>`;
}
