// @ts-check
// The list of jobs in pages, its top looked at again every few seconds.
import { useEffect, useRef, useState } from '../lib.js';
import { get } from '../api.js';
import { parametersOf } from './filters.js';

const PAGE = 25;
const MOST = 100; // that the API gives at once
const AGAIN_MS = 5000;
/** @type {{ jobs: Job[] | null, next: string | null, failure: unknown }} */
const START = { jobs: null, next: null, failure: null };

// The top page replaces what stood in its place; what is older stays.
/**
 * @param {Job[]} before
 * @param {{ data: Job[], next: string | null }} page
 * @param {boolean} byAge
 */
function merged(before, page, byAge) {
  const last = page.data.at(-1);
  if (!page.next || !last || !byAge) return page.data;
  return [...page.data, ...before.filter((job) => job.created_at < last.created_at)];
}

/** @param {JobFilters} filters */
export function useJobs(filters) {
  const [state, setState] = useState(START);
  const filterKey = JSON.stringify({ ...parametersOf(filters), preview: true });
  const loaded = useRef(0);
  loaded.current = state.jobs?.length ?? 0;
  const stop = useRef(/** @type {AbortController | null} */ (null));

  /** @param {AbortSignal} abort */
  const top = async (abort) => {
    // Only the newest first are known to stay behind the page that was read; in other orders all are read again.
    const byAge = !filters.sort;
    if (!byAge && loaded.current > MOST) return;
    const limit = byAge ? PAGE : Math.max(PAGE, loaded.current);
    try {
      const page = await get('v1/transcriptions', { ...JSON.parse(filterKey), limit }, { signal: abort });
      setState((before) => {
        if (!byAge && page.next && (before.jobs?.length ?? 0) > page.data.length) return before; // more came meanwhile
        const jobs = merged(before.jobs ?? [], page, byAge);
        return { jobs, next: jobs.length > page.data.length ? before.next : page.next, failure: null };
      });
    } catch (failure) {
      if (!abort.aborted) setState((before) => ({ ...before, failure }));
    }
  };
  const begin = () => {
    stop.current?.abort();
    const abort = new AbortController();
    stop.current = abort;
    top(abort.signal);
  };
  useEffect(() => {
    setState(START);
    loaded.current = 0;
    begin();
    const timer = setInterval(() => document.hidden || begin(), AGAIN_MS);
    return () => {
      clearInterval(timer);
      stop.current?.abort();
    };
  }, [filterKey]);

  const more = async () => {
    try {
      const page = await get('v1/transcriptions', { ...JSON.parse(filterKey), limit: PAGE, after: state.next });
      setState((before) => ({ jobs: [...(before.jobs ?? []), ...page.data], next: page.next, failure: null }));
    } catch (failure) {
      setState((before) => ({ ...before, failure }));
    }
  };
  /** @param {string} id */
  const dropped = (id) =>
    setState((before) => ({ ...before, jobs: before.jobs?.filter((job) => job.id !== id) ?? null }));
  /** @param {Job} changed */
  const replaced = ({ name, tags, id }) =>
    setState((before) => ({
      ...before,
      jobs: before.jobs?.map((job) => (job.id === id ? { ...job, name, tags } : job)) ?? null,
    }));
  return { ...state, more, dropped, replaced, again: begin };
}
