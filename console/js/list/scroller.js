// @ts-check
// The position of a long list in the page: which rows are visible, and how to scroll to one.
import { Heights } from './heights.js';

// Drawn above and below what is in sight, so that a quick scroll shows no hole.
const AROUND_PX = 700;
// Where a row goes that is looked for: so far below what is fixed at the top.
const ABOVE_PX = 40;
// A jump of the page by us is over after this time; what moves it later is a person.
const OURS_MS = 250;

/**
 * The rows of the list that are drawn.
 * @param {HTMLElement} list
 * @returns {NodeListOf<HTMLElement>}
 */
const rowsOf = (list) => list.querySelectorAll('[data-row]');

export class Scroller {
  constructor() {
    this.heights = new Heights([]);
    /** @type {HTMLElement | null} */
    this.element = null;
    this.width = 0;
    this.cursor = 0; // the row that is in the tab order
    /** @type {{ number: number, part: string | null, focus: boolean, tries: number } | null} */
    this.goal = null; // the row that is to be shown, and maybe gets the focus, with the next drawing
    /** @type {number | null} */
    this.kept = null; // a row that stays rendered because it is being edited
    this.movedAt = -OURS_MS;
    this.redraw = () => {};
    // A row that changes while it is edited is measured too.
    this.sizes = new ResizeObserver(() => this.element && this.measure());
  }

  // The lower edge of what is fixed at the top of the window.
  get roof() {
    const fixed = document.querySelector('[data-roof]')?.getBoundingClientRect();
    const beside = fixed && this.element && fixed.left >= this.element.getBoundingClientRect().right;
    if (fixed && !beside) return Math.max(0, fixed.bottom);
    return document.querySelector('header')?.getBoundingClientRect().bottom ?? 0;
  }

  get movedByUs() {
    return performance.now() - this.movedAt < OURS_MS;
  }

  // Heights for as many rows as there are now; those that were measured at this width stay.
  /**
   * @param {number} count
   * @param {(row: number, width: number) => number} guess
   */
  fit(count, guess) {
    const width = this.element?.clientWidth ?? 0;
    const known = width === this.width ? this.heights : new Heights([]);
    if (known === this.heights && known.count === count) return;
    this.width = width;
    this.heights = new Heights(
      Array.from({ length: count }, (_, row) => (row < known.count ? known.heights[row] : guess(row, width))),
    );
  }

  // [first, behind] of the rows that are to be drawn.
  range() {
    const { count } = this.heights;
    const top = this.element ? this.element.getBoundingClientRect().top : 0;
    const first = this.heights.at(Math.max(0, -top - AROUND_PX));
    const last = this.heights.at(Math.max(0, innerHeight - top + AROUND_PX));
    return [first, Math.min(count, last + 1)];
  }

  /** @param {number} number */
  row(number) {
    return (
      /** @type {HTMLElement | null | undefined} */ (this.element?.querySelector(`[data-row="${number}"]`)) ?? null
    );
  }

  /** @param {number} number */
  isInSight(number) {
    const box = this.row(number)?.getBoundingClientRect();
    return box !== undefined && box.top >= this.roof - 1 && box.bottom <= innerHeight;
  }

  // Takes the heights of the drawn rows. What grew above the window's upper edge pushes nothing: the page moves along.
  measure() {
    if (!this.element) return false;
    const anchor = this.heights.at(Math.max(0, this.roof - this.element.getBoundingClientRect().top));
    let above = 0;
    let changed = false;
    for (const row of rowsOf(this.element)) {
      const number = Number(row.dataset.row);
      const more = this.heights.set(number, row.offsetHeight);
      if (more) changed = true;
      if (number < anchor) above += more;
    }
    if (Math.abs(above) >= 1 && !this.goal) this.scrollBy(above);
    return changed;
  }

  // The rows that are drawn now.
  watch() {
    this.sizes.disconnect();
    if (!this.element) return;
    for (const row of rowsOf(this.element)) this.sizes.observe(row);
  }

  /** @param {number} number */
  show(number) {
    if (this.isInSight(number)) return;
    this.goal = { number, part: null, focus: false, tries: 0 };
    this.jump();
  }

  // `part`: what in the row gets the focus, where it is not the row itself.
  /**
   * @param {number} number
   * @param {string | null} [part]
   */
  focus(number, part = null) {
    this.cursor = Math.max(0, Math.min(number, this.heights.count - 1));
    this.goal = { number: this.cursor, part, focus: true, tries: 0 };
    if (!this.isInSight(this.cursor)) this.jump();
    else this.redraw();
  }

  // To where the row is, or is guessed to be; the next drawing says.
  jump() {
    if (!this.element || !this.goal) return; // the first drawing will
    const top = this.element.getBoundingClientRect().top + this.heights.top(this.goal.number);
    this.scrollBy(top - this.roof - ABOVE_PX);
    this.redraw();
  }

  // After a drawing: is the goal where it should be?
  reach() {
    const { goal } = this;
    const row = goal && this.row(goal.number);
    if (!row) return;
    const by = row.getBoundingClientRect().top - this.roof - ABOVE_PX;
    /** @type {HTMLElement | null} */
    const part = goal.part ? row.querySelector(goal.part) : null;
    if (goal.focus) (part ?? row).focus({ preventScroll: true });
    goal.focus = false;
    goal.tries += 1;
    if (this.isInSight(goal.number) || Math.abs(by) < 2 || goal.tries > 3) this.goal = null;
    else this.jump();
  }

  /** @param {number} px */
  scrollBy(px) {
    this.movedAt = performance.now();
    scrollBy({ top: px, behavior: 'instant' });
  }
}
