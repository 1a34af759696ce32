// @ts-check
// A long list of which only what is in sight is drawn. It scrolls with the page.
//
// Keyboard: one row at a time is in the tab order; arrows, Home and End move it. The row that has the focus stays drawn
// wherever the page is scrolled to, so that the focus is not lost.
import { html, useEffect, useLayoutEffect, useReducer, useRef } from '../lib.js';

/**
 * @typedef {(row: number, width: number) => number} Guess
 * @param {{ scroller: Scroller, items: Sentence[], guess: Guess, Row: any, label: string, busy: boolean, [key: string]: any }} props
 */
export function LongList({ scroller, items, guess, Row, label, busy, ...shared }) {
  const [, redraw] = useReducer((/** @type {number} */ n) => n + 1, 0);
  const again = () => redraw(undefined);
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  const drawn = useRef({ key: '', rows: new Map() });
  useEffect(() => (place.current ? follow(scroller, place.current, again, drawn) : undefined), [scroller]);
  useLayoutEffect(() => {
    if (!scroller.element) return;
    if (scroller.measure()) again();
    scroller.reach();
    scroller.watch();
  });
  scroller.fit(items.length, guess);
  const numbers = numbersOf(scroller);
  drawn.current.key = numbers.join();
  /** @param {number} number */
  const row = (number) =>
    cached(drawn.current.rows, Row, { number, item: items[number], count: items.length, ...shared }, scroller);
  return html`
    <div class="long" role="feed" aria-label=${label} aria-busy=${busy ? 'true' : 'false'} ref=${place}
      onKeyDown=${(/** @type {AnyEvent} */ event) => onKey(event, scroller)}
      onFocusIn=${(/** @type {AnyEvent} */ event) => onFocus(event, scroller, again)}>
      ${withGaps(scroller, numbers).map((part) => (part.row === undefined ? html`<${Gap} key=${part.key} ...${part} />` : row(part.row)))}
    </div>
  `;
}

// Draws again where scrolling brings other rows into sight.
/**
 * @param {Scroller} scroller
 * @param {HTMLElement} element
 * @param {() => void} again
 * @param {any} drawn
 */
function follow(scroller, element, again, drawn) {
  scroller.element = element;
  scroller.redraw = again;
  let frame = 0;
  const look = () => {
    frame = 0;
    if (element.clientWidth !== scroller.width || numbersOf(scroller).join() !== drawn.current.key) again();
  };
  const later = () => {
    frame ||= requestAnimationFrame(look);
  };
  addEventListener('scroll', later, { passive: true });
  addEventListener('resize', later, { passive: true });
  again();
  return () => {
    cancelAnimationFrame(frame);
    removeEventListener('scroll', later);
    removeEventListener('resize', later);
    scroller.sizes.disconnect();
    scroller.element = null;
  };
}

// What is in sight, the row that has the focus, and the one that is looked for.
/** @param {Scroller} scroller */
function numbersOf(scroller) {
  const [first, behind] = scroller.range();
  const numbers = [];
  for (let number = first; number < behind; number += 1) numbers.push(number);
  const focused = scroller.element?.contains(document.activeElement) ? scroller.cursor : null;
  const kept = [focused, scroller.goal?.number, scroller.kept].filter((number) => number != null);
  const drawn = kept.filter((number) => number < scroller.heights.count);
  return [...new Set([...numbers, ...drawn])].sort((a, b) => a - b);
}

// The same vnode again tells Preact that nothing changed in a row.
/**
 * @param {Map<number, any>} rows
 * @param {any} Row
 * @param {any} props
 * @param {Scroller} scroller
 */
function cached(rows, Row, props, scroller) {
  const before = rows.get(props.number);
  const current = props.number === scroller.cursor;
  if (before && before.item === props.item && before.count === props.count && before.current === current) {
    return before.vnode;
  }
  const vnode = html`<${Row} key=${`row-${props.number}`} current=${current} ...${props} />`;
  rows.set(props.number, { item: props.item, count: props.count, current, vnode });
  const oldest = rows.keys().next();
  if (rows.size > 400 && !oldest.done) rows.delete(oldest.value);
  return vnode;
}

/**
 * @param {Scroller} scroller
 * @param {number[]} numbers
 */
function withGaps(scroller, numbers) {
  const { heights } = scroller;
  const parts = [];
  let reached = 0;
  for (const number of numbers) {
    if (number > reached) parts.push({ key: `gap-${reached}`, px: heights.top(number) - heights.top(reached) });
    parts.push({ row: number });
    reached = number + 1;
  }
  if (reached < heights.count) parts.push({ key: 'gap-end', px: heights.top(heights.count) - heights.top(reached) });
  return parts;
}

/** @param {{ px: number }} props */
function Gap({ px }) {
  return html`<div role="none" style=${{ height: `${px}px` }}></div>`;
}

/**
 * @param {AnyEvent} event
 * @param {Scroller} scroller
 */
function onKey(event, scroller) {
  if (event.ctrlKey || event.metaKey || event.altKey || !event.target.matches('[data-row]')) return;
  const last = scroller.heights.count - 1;
  const { cursor } = scroller;
  const to = {
    ArrowDown: cursor + 1,
    ArrowUp: cursor - 1,
    PageDown: cursor + 10,
    PageUp: cursor - 10,
    Home: 0,
    End: last,
  }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  scroller.focus(Math.max(0, Math.min(last, to)));
}

/**
 * @param {AnyEvent} event
 * @param {Scroller} scroller
 * @param {() => void} again
 */
function onFocus(event, scroller, again) {
  const row = event.target.closest('[data-row]');
  if (!row || Number(row.dataset.row) === scroller.cursor) return;
  scroller.cursor = Number(row.dataset.row);
  again();
}
