// The first page: send audio, and see it move.
import { html } from '../lib.js';
import { t } from '../i18n.js';
import { useTitle } from '../ui/title.js';

export function Home() {
  useTitle(t('submit.title'));
  return html`<div class="page"><h1>${t('submit.title')}</h1></div>`;
}
