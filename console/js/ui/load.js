// @ts-check
// Something read from the API for a component: again when what it depends on changes, or every few seconds.
import { useCallback, useEffect, useRef, useState } from '../lib.js';

// `read(abort)` gives a promise. Answers { data, failure, load }; what was read before stays until there is more.
/**
 * @template T
 * @param {(abort: AbortSignal) => Promise<T>} read
 * @param {any[]} depends
 * @param {{ everyMs?: number }} [options]
 */
export function useLoad(read, depends, { everyMs = 0 } = {}) {
  const [state, setState] = useState(
    /** @type {{ data: T | null, failure: unknown }} */ ({ data: null, failure: null }),
  );
  const latest = useRef(read);
  latest.current = read;
  const running = useRef(/** @type {AbortController | null} */ (null));
  const load = useCallback(async () => {
    running.current?.abort();
    const stop = new AbortController();
    running.current = stop;
    try {
      const data = await latest.current(stop.signal);
      if (!stop.signal.aborted) setState({ data, failure: null });
    } catch (failure) {
      if (!stop.signal.aborted) setState((before) => ({ data: before.data, failure }));
    }
  }, []);
  useEffect(() => {
    load();
    return () => running.current?.abort();
  }, depends);
  useEffect(() => {
    if (!everyMs) return undefined;
    const timer = setInterval(() => document.hidden || load(), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return { ...state, load };
}
