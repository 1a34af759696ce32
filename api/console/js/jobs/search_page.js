// Search over all transcripts.
import { html } from '../lib.js';
import { t } from '../i18n.js';
import { useTitle } from '../ui/title.js';

export function Search() {
  useTitle(t('search.title'));
  return html`<div class="page"><h1>${t('search.title')}</h1></div>`;
}
