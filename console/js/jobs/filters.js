// @ts-check
// What the list is narrowed to: kept in the address, so that it can be shared and gone back to.
import { html } from '../lib.js';
import { t } from '../i18n.js';

const STATUSES = ['queued', 'processing', 'completed', 'failed', 'canceled'];

/** @param {URLSearchParams} query */
export function filtersOf(query) {
  const wanted = query.get('status') ?? '';
  const status = STATUSES.includes(wanted) ? wanted : '';
  /** @param {string} name */
  const day = (name) => query.get(name)?.match(/^\d{4}-\d{2}-\d{2}$/)?.[0] ?? '';
  return { status, tag: query.get('tag') ?? '', from: day('from'), to: day('to') };
}

// As the API takes them. Days are this browser's; `to` is meant with the whole of its day.
/** @param {{ status: string, tag: string, from: string, to: string }} props */
export function parametersOf({ status, tag, from, to }) {
  /**
   * @param {any} day
   * @param {number} [later]
   */
  const start = (day, later = 0) => {
    const [year, month, date] = day.split('-').map(Number);
    return new Date(year, month - 1, date + later).toISOString();
  };
  return { status, tag, created_from: from && start(from), created_to: to && start(to, 1) };
}

/** @param {{ filters: JobFilters, change: (values: Record<string, any>) => void }} props */
export function Filters({ filters, change }) {
  /** @param {string} name */
  const on = (name) => (/** @type {AnyEvent} */ event) => change({ [name]: event.target.value.trim() });
  return html`
    <form class="filters" role="search" aria-label=${t('filters.label')} onSubmit=${(/** @type {AnyEvent} */ event) => event.preventDefault()}>
      <label class="field">
        <span class="label">${t('filters.status')}</span>
        <select onChange=${on('status')}>
          <option value="" selected=${!filters.status}>${t('filters.any')}</option>
          ${STATUSES.map(
            (status) =>
              html`<option value=${status} selected=${filters.status === status}>${t(`status.${status}`)}</option>`,
          )}
        </select>
      </label>
      <label class="field">
        <span class="label">${t('filters.tag')}</span>
        <input value=${filters.tag} maxlength="64" onChange=${on('tag')} />
      </label>
      <label class="field">
        <span class="label">${t('filters.from')}</span>
        <input type="date" value=${filters.from} onChange=${on('from')} />
      </label>
      <label class="field">
        <span class="label">${t('filters.to')}</span>
        <input type="date" value=${filters.to} onChange=${on('to')} />
      </label>
    </form>
  `;
}
