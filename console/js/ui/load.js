// @ts-check
// Something read from the API for a component: again when what it depends on changes, or every few seconds.
import { useCallback, useEffect, useRef, useState } from '../lib.js';

// Requests of a component, of which only the latest counts: it ends the one before, whose answer is dropped.
export function useLatest() {
  const running = useRef(/** @type {AbortController | null} */ (null));
  useEffect(() => () => running.current?.abort(), []);
  const ask = useCallback(
    /**
     * @template T
     * @param {(abort: AbortSignal) => Promise<T>} read
     * @param {(answer: T) => void} done
     * @param {(failure: unknown) => void} failed
     */
    async (read, done, failed) => {
      running.current?.abort();
      const stop = new AbortController();
      running.current = stop;
      try {
        const answer = await read(stop.signal);
        if (!stop.signal.aborted) done(answer);
      } catch (failure) {
        if (!stop.signal.aborted) failed(failure);
      } finally {
        if (running.current === stop) running.current = null;
      }
    },
    [],
  );
  const isBusy = useCallback(() => running.current !== null, []);
  return { ask, isBusy };
}

// Calls `act` again and again while the page is looked at; 0: never.
/**
 * @param {number} everyMs
 * @param {() => void} act
 */
export function useEvery(everyMs, act) {
  const latest = useRef(act);
  latest.current = act;
  useEffect(() => {
    if (!everyMs) return undefined;
    const timer = setInterval(() => document.hidden || latest.current(), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
}

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
  const { ask, isBusy } = useLatest();
  const refresh = () =>
    ask(
      read,
      (data) => setState({ data, failure: null }),
      (failure) => setState((before) => ({ ...before, failure })),
    );
  // As a person asks for it: a failure leaves the page, so that a second one can be told from the first.
  const load = () => {
    setState((before) => ({ ...before, failure: null }));
    return refresh();
  };
  useEffect(() => {
    load();
  }, depends);
  useEvery(everyMs, () => isBusy() || refresh());
  return { ...state, load };
}
