// @ts-check
// Placeholders: loading, empty, failed, not found.
import { html } from '../lib.js';
import { explained } from '../api.js';
import { t } from '../i18n.js';
import { Icon } from './icon.js';
import { useTitle } from './title.js';

export function Loading() {
  return html`<p class="loading" role="status"><span class="spinner" aria-hidden="true"></span>${t('state.loading')}</p>`;
}

/** @param {{ icon: string, title: string, children: Children }} props */
export function Empty({ icon, title, children }) {
  return html`
    <div class="empty">
      <span class="empty-icon"><${Icon} name=${icon} /></span>
      <p class="empty-title">${title}</p>
      ${children && html`<div class="muted">${children}</div>`}
    </div>
  `;
}

// What went wrong, what to do, and the id that finds it in the log.
/** @param {{ error: Explainable, again: () => void }} props */
export function Failure({ error, again }) {
  const { what, advice, detail, requestId } = explained(error);
  return html`
    <div class="failure" role="alert">
      <${Icon} name="warning" />
      <div>
        <p class="failure-what">${what}</p>
        ${advice && html`<p>${advice}</p>`}
        ${
          (detail || requestId) &&
          html`<details>
          <summary>${t('state.details')}</summary>
          ${detail && html`<p class="mono">${detail}</p>`}
          ${requestId && html`<p class="mono">${t('state.request', { id: requestId })}</p>`}
        </details>`
        }
        ${again && html`<button class="small" onClick=${again}>${t('state.again')}</button>`}
      </div>
    </div>
  `;
}

export function NotFound() {
  useTitle(t('state.not_found'));
  return html`
    <div class="page">
      <h1>${t('state.not_found')}</h1>
      <${Empty} icon="search" title=${t('state.not_found_why')}><a href="#/">${t('nav.home')}</a><//>
    </div>
  `;
}
