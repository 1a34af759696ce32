// @ts-check
// What the list is narrowed to: kept in the address, so that it can be shared and gone back to.
import { html, useEffect, useRef } from '../lib.js';
import { t } from '../i18n.js';
import { IconButton } from '../ui/icon_button.js';

const SORTS = ['oldest', 'longest', 'name']; // and the newest first, which is not named
const TYPING_MS = 300;
const STATUSES = ['queued', 'processing', 'completed', 'failed', 'canceled'];

/** @param {URLSearchParams} query */
export function filtersOf(query) {
  const wanted = query.get('status') ?? '';
  const status = STATUSES.includes(wanted) ? wanted : '';
  /** @param {string} name */
  const day = (name) => query.get(name)?.match(/^\d{4}-\d{2}-\d{2}$/)?.[0] ?? '';
  /** @param {string} name */
  const text = (name) => query.get(name)?.trim() ?? '';
  const sort = SORTS.includes(text('sort')) ? text('sort') : '';
  return { status, tag: text('tag'), name: text('name'), batch: text('batch'), from: day('from'), to: day('to'), sort };
}

// As the API takes them. Days are this browser's; `to` is meant with the whole of its day.
/** @param {JobFilters} filters */
export function parametersOf({ from, to, ...same }) {
  /**
   * @param {any} day
   * @param {number} [later]
   */
  const start = (day, later = 0) => {
    const [year, month, date] = day.split('-').map(Number);
    return new Date(year, month - 1, date + later).toISOString();
  };
  return { ...same, created_from: from && start(from), created_to: to && start(to, 1) };
}

/** @param {{ filters: JobFilters, change: (values: Record<string, any>) => void }} props */
export function Filters({ filters, change }) {
  const timer = useRef(/** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined));
  useEffect(() => () => clearTimeout(timer.current), []);
  // What is being typed stays as it is, with the space at its end.
  const name = useRef(/** @type {HTMLInputElement | null} */ (null));
  useEffect(() => {
    if (name.current && name.current !== document.activeElement) name.current.value = filters.name;
  }, [filters.name]);
  // With the name as it is now, also if it was typed just before.
  /** @param {Record<string, any>} values */
  const apply = (values) => {
    clearTimeout(timer.current);
    change({ name: name.current?.value.trim() ?? '', ...values });
  };
  /** @param {string} filter */
  const on = (filter) => (/** @type {AnyEvent} */ event) => apply({ [filter]: event.target.value.trim() });
  // While a person types, once they pause.
  /** @param {AnyEvent} event */
  const typed = (event) => {
    clearTimeout(timer.current);
    timer.current = setTimeout(() => change({ name: event.target.value.trim() }), TYPING_MS);
  };
  return html`
    <form class="filters" role="search" aria-label=${t('filters.label')} onSubmit=${(/** @type {AnyEvent} */ event) => event.preventDefault()}>
      <label class="field">
        <span class="label">${t('filters.name')}</span>
        <input ref=${name} type="search" defaultValue=${filters.name} maxlength="100" onChange=${on('name')} onInput=${typed} />
      </label>
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
      <label class="field">
        <span class="label">${t('filters.sort')}</span>
        <select onChange=${on('sort')}>
          <option value="" selected=${!filters.sort}>${t('sort.newest')}</option>
          ${SORTS.map((sort) => html`<option value=${sort} selected=${filters.sort === sort}>${t(`sort.${sort}`)}</option>`)}
        </select>
      </label>
      ${filters.batch && html`<${OneBatch} batch=${filters.batch} all=${() => apply({ batch: '' })} />`}
    </form>
  `;
}

/** @param {{ batch: string, all: () => void }} props */
function OneBatch({ batch, all }) {
  return html`
    <p class="filters-batch">
      <span class="tag removable">${t('filters.batch', { batch })}
        <${IconButton} icon="close" size="" words=${t('filters.no_batch')} act=${all} />
      </span>
    </p>
  `;
}
