// @ts-check
// A list that is read page by page; one request at a time, so that no page is added twice or after another.
import { html, useEffect, useRef, useState } from '../lib.js';
import { t } from '../i18n.js';
import { useLatest } from './load.js';

/**
 * @template T
 * @typedef {{ items: T[] | null, next: string | null, failure: unknown, busy: boolean }} Pages
 */
/**
 * @template T
 * @typedef {{ data: T[], next: string | null }} Page
 */
/**
 * @template T
 * @typedef {(before: Pages<T>, page: Page<T>) => { items: T[], next: string | null }} Put
 */

// `read(after, abort)` gives a page; `keyOf` tells items apart, because an item may have moved on to the next page.
// Answers the items so far, `more` and `again` (repeats what failed), and `refresh` and `change` for what has changed.
/**
 * @template T
 * @param {(after: string | null, abort: AbortSignal) => Promise<Page<T>>} read
 * @param {any[]} depends
 * @param {(item: T) => string} keyOf
 */
export function usePages(read, depends, keyOf) {
  const [state, setState] = useState(/** @type {Pages<T>} */ ({ items: null, next: null, failure: null, busy: true }));
  const { ask, isBusy } = useLatest();
  const again = useRef(() => {});

  /**
   * @param {(abort: AbortSignal) => Promise<Page<T>>} reading
   * @param {Put<T>} put
   */
  const request = (reading, put) => {
    again.current = () => {
      setState((before) => ({ ...before, failure: null, busy: true }));
      request(reading, put);
    };
    ask(
      reading,
      (page) => setState((before) => ({ ...put(before, page), failure: null, busy: false })),
      (failure) => setState((before) => ({ ...before, failure, busy: false })),
    );
  };
  useEffect(() => {
    setState({ items: null, next: null, failure: null, busy: true });
    request(
      (abort) => read(null, abort),
      (_, page) => ({ items: page.data, next: page.next }),
    );
  }, depends);
  const more = () => {
    const after = state.next;
    setState((before) => ({ ...before, failure: null, busy: true }));
    request(
      (abort) => read(after, abort),
      ({ items }, page) => {
        const known = new Set(items?.map(keyOf));
        return { items: [...(items ?? []), ...page.data.filter((item) => !known.has(keyOf(item)))], next: page.next };
      },
    );
  };
  // Unnoticed by the person, and not while something is read that they asked for.
  /**
   * @param {(abort: AbortSignal) => Promise<Page<T>>} reading
   * @param {Put<T>} put
   */
  const refresh = (reading, put) => isBusy() || request(reading, put);
  /** @param {(items: T[]) => T[]} to */
  const change = (to) => setState((before) => ({ ...before, items: before.items && to(before.items) }));
  return { ...state, more, again: () => again.current(), refresh, change };
}

/** @param {{ next: string | null, busy: boolean, more: () => void }} props */
export function More({ next, busy, more }) {
  if (!next) return null;
  return html`<p class="center"><button disabled=${busy} onClick=${more}>${t('state.more')}</button></p>`;
}
