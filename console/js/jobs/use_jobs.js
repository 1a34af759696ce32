// @ts-check
// The list of jobs in pages, its top looked at again every few seconds.
import { useEffect, useRef, useState } from '../lib.js';
import { get } from '../api.js';
import { parametersOf } from './filters.js';

const PAGE = 25;
const AGAIN_MS = 5000;
/** @type {{ jobs: Job[] | null, next: string | null, failure: unknown }} */
const START = { jobs: null, next: null, failure: null };

// The top page replaces what stood in its place; what is older stays.
/**
 * @param {any} before
 * @param {any} page
 */
function merged(before, page) {
  const last = page.data.at(-1);
  const older = page.next && last ? before.filter((/** @type {Job} */ job) => job.created_at < last.created_at) : [];
  return [...page.data, ...older];
}

/** @param {JobFilters} filters */
export function useJobs(filters) {
  const [state, setState] = useState(START);
  const filterKey = JSON.stringify(parametersOf(filters));
  const stop = useRef(/** @type {AbortController | null} */ (null));

  /** @param {AbortSignal} abort */
  const top = async (abort) => {
    try {
      const page = await get('v1/transcriptions', { ...JSON.parse(filterKey), limit: PAGE }, { signal: abort });
      setState((before) => {
        const jobs = merged(before.jobs ?? [], page);
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
  return { ...state, more, dropped, again: begin };
}
