// @ts-check
// All jobs, newest first, with filters; those that are under way move as one looks.
import { html } from '../lib.js';
import { t } from '../i18n.js';
import { route, setQuery } from '../router.js';
import { Empty, Failure, Loading } from '../ui/states.js';
import { useTitle } from '../ui/title.js';
import { Filters, filtersOf } from './filters.js';
import { Row } from './row.js';
import { useJobs } from './use_jobs.js';

export function List() {
  useTitle(t('jobs.title'));
  const filters = filtersOf(route.value.query);
  const { jobs, next, failure, more, dropped, again } = useJobs(filters);
  const filtered = Object.values(filters).some(Boolean);
  return html`
    <div class="page">
      <h1>${t('jobs.title')}</h1>
      <${Filters} filters=${filters} change=${(/** @type {Record<string, any>} */ values) => setQuery({ ...filters, ...values })} />
      ${failure && html`<${Failure} error=${failure} again=${again} />`}
      ${!jobs && !failure && html`<${Loading} />`}
      ${
        jobs?.length === 0 &&
        (filtered
          ? html`<${Empty} icon="search" title=${t('jobs.none_found')}>
            <button onClick=${() => setQuery({})}>${t('jobs.all')}</button>
          <//>`
          : html`<${Empty} icon="wave" title=${t('jobs.none')}><a href="#/">${t('submit.title')}</a><//>`)
      }
      ${
        jobs &&
        jobs.length > 0 &&
        html`<ul class="card rows">
        ${jobs.map((/** @type {Job} */ job) => html`<${Row} key=${job.id} job=${job} onGone=${() => dropped(job.id)} />`)}
      </ul>`
      }
      ${next && html`<p class="center"><button onClick=${more}>${t('state.more')}</button></p>`}
    </div>
  `;
}
