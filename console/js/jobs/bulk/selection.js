// @ts-check
// Which rows of the list are selected: by a click, from row to row with Shift, all that are loaded, or by keyboard.
import { useRef, useState } from '../../lib.js';

/** @param {Job[]} jobs */
export function useSelection(jobs) {
  const [ids, setIds] = useState(/** @type {Set<string>} */ (new Set()));
  const anchor = useRef(/** @type {string | null} */ (null));
  const chosen = jobs.filter((job) => ids.has(job.id));

  /**
   * @param {string[]} some
   * @param {boolean} on
   */
  const set = (some, on) =>
    setIds((before) => {
      const after = new Set(before);
      for (const id of some) on ? after.add(id) : after.delete(id);
      return after;
    });
  // `extend`: with all rows from the one before to this one.
  /**
   * @param {string} id
   * @param {boolean} on
   * @param {boolean} extend
   */
  const choose = (id, on, extend) => {
    const places = [anchor.current, id].map((one) => jobs.findIndex((job) => job.id === one));
    const range = extend && !places.includes(-1) ? jobs.slice(Math.min(...places), Math.max(...places) + 1) : [];
    set([id, ...range.map((job) => job.id)], on);
    anchor.current = id;
  };
  /** @param {boolean} on */
  const chooseAll = (on) => setIds(new Set(on ? jobs.map((job) => job.id) : []));
  return { ids, chosen, choose, chooseAll, set };
}

// On a row's checkbox: arrows go from row to row, with Shift they select; Ctrl+A selects all, Escape none.
/**
 * @param {AnyEvent} event
 * @param {ReturnType<typeof useSelection>} selection
 */
export function onSelectionKey(event, selection) {
  if (!event.target.matches('[data-tick]')) return;
  if (event.key === 'Escape') selection.chooseAll(false);
  else if (event.key === 'a' && (event.ctrlKey || event.metaKey)) selection.chooseAll(true);
  else if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
    const ticks = [...event.currentTarget.querySelectorAll('[data-tick]')];
    const next = ticks[ticks.indexOf(event.target) + (event.key === 'ArrowDown' ? 1 : -1)];
    if (event.shiftKey) selection.set([event.target.dataset.tick, ...(next ? [next.dataset.tick] : [])], true);
    next?.focus();
  } else return;
  event.preventDefault();
}
