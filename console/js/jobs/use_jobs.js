// @ts-check
// The list of jobs in pages, its top looked at again every few seconds.
import { get } from '../api.js';
import { useEvery } from '../ui/load.js';
import { usePages } from '../ui/paging.js';
import { parametersOf } from './filters.js';

const PAGE = 25;
const MOST = 100; // that the API gives at once
const AGAIN_MS = 5000;

// The API's order, the newest first: by the moment of submission, of which a batch has one, then by id.
/**
 * @param {Job} job
 * @param {Job} than
 */
function isOlder(job, than) {
  // Without the Z, a moment sorts before the same moment with a fraction of a second.
  const [one, other] = [job, than].map(({ created_at: at }) => at.replace('Z', ''));
  return one === other ? job.id < than.id : one < other;
}

// The top page replaces what stood in its place; what is older stays, where nothing can be missing between them.
/** @type {import('../ui/paging.js').Put<Job>} */
function merged({ items, next }, page) {
  const last = page.data.at(-1);
  const ids = new Set(page.data.map((job) => job.id));
  if (!page.next || !last || !items?.some((job) => ids.has(job.id))) return { items: page.data, next: page.next };
  const older = items.filter((job) => isOlder(job, last));
  return { items: [...page.data, ...older], next: older.length ? next : page.next };
}

/** @param {JobFilters} filters */
export function useJobs(filters) {
  const parameters = { ...parametersOf(filters), preview: true };
  /** @type {(after: string | null, abort: AbortSignal, limit?: number) => Promise<import('../ui/paging.js').Page<Job>>} */
  const read = (after, signal, limit = PAGE) => get('v1/transcriptions', { ...parameters, limit, after }, { signal });
  const { items, next, failure, busy, more, again, refresh, change } = usePages(
    read,
    [JSON.stringify(parameters)],
    (/** @type {Job} */ job) => job.id,
  );
  useEvery(AGAIN_MS, () => {
    const loaded = items?.length ?? 0;
    if (!filters.sort) refresh((abort) => read(null, abort), merged);
    // In other orders nothing says where a changed job belongs: all are read again, if one call gives them.
    else if (loaded <= MOST) {
      const limit = Math.max(PAGE, loaded);
      refresh(
        (abort) => read(null, abort, limit),
        (_, page) => ({ items: page.data, next: page.next }),
      );
    }
  });
  /** @param {string} id */
  const dropped = (id) => change((jobs) => jobs.filter((job) => job.id !== id));
  /** @param {Job} changed */
  const replaced = ({ name, tags, id }) =>
    change((jobs) => jobs.map((job) => (job.id === id ? { ...job, name, tags } : job)));
  return { jobs: items, next, failure, busy, more, dropped, replaced, again };
}
