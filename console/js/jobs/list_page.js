// @ts-check
// All jobs, filtered and sorted; those that are under way move as one looks. Many can be selected, and worked on together.
import { html, useEffect } from '../lib.js';
import { t } from '../i18n.js';
import { route, setQuery } from '../router.js';
import { More } from '../ui/paging.js';
import { Empty, Failure, Loading } from '../ui/states.js';
import { useTitle } from '../ui/title.js';
import { BulkBar } from './bulk/bar.js';
import { Filters, filtersOf } from './filters.js';
import { Row } from './row.js';
import { onSelectionKey, useSelection } from './bulk/selection.js';
import { useJobs } from './use_jobs.js';

export function List() {
  useTitle(t('jobs.title'));
  const filters = filtersOf(route.value.query);
  const { jobs, next, failure, busy, more, dropped, replaced, again } = useJobs(filters);
  const selection = useSelection(jobs ?? []);
  const { sort, ...narrowing } = filters;
  const filtered = Object.values(narrowing).some(Boolean);
  const asked = JSON.stringify(filters);
  useEffect(() => selection.chooseAll(false), [asked]);
  return html`
    <div class="page">
      <h1>${t('jobs.title')}</h1>
      <${Filters} filters=${filters} change=${(/** @type {Record<string, any>} */ values) => setQuery({ ...filters, ...values })} />
      ${failure && !jobs && html`<${Failure} error=${failure} again=${again} />`}
      ${!jobs && !failure && html`<${Loading} />`}
      ${
        jobs?.length === 0 &&
        (filtered
          ? html`<${Empty} icon="search" title=${t('jobs.none_found')}>
            <button onClick=${() => setQuery({ sort })}>${t('jobs.all')}</button>
          <//>`
          : html`<${Empty} icon="wave" title=${t('jobs.none')}><a href="#/">${t('submit.title')}</a><//>`)
      }
      ${jobs && html`<${BulkBar} jobs=${jobs} selection=${selection} onChanged=${replaced} onGone=${dropped} />`}
      ${
        jobs &&
        jobs.length > 0 &&
        html`<ul class="card rows" onKeyDown=${(/** @type {AnyEvent} */ event) => onSelectionKey(event, selection)}>
          ${jobs.map(
            (/** @type {Job} */ job) => html`
              <${Row} key=${job.id} job=${job} chosen=${selection.ids.has(job.id)} choose=${selection.choose}
                onGone=${dropped} onChanged=${replaced} />
            `,
          )}
        </ul>`
      }
      ${failure && jobs && html`<${Failure} error=${failure} again=${again} />`}
      <${More} next=${next} busy=${busy} more=${more} />
    </div>
  `;
}
