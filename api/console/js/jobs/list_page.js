// All jobs, newest first.
import { html } from '../lib.js';
import { t } from '../i18n.js';
import { useTitle } from '../ui/title.js';

export function List() {
  useTitle(t('jobs.title'));
  return html`<div class="page"><h1>${t('jobs.title')}</h1></div>`;
}
