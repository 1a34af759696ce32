// @ts-check
// Marks what is spoken, and keeps it in sight, until a person scrolls somewhere else.
import { effect } from '../lib.js';
import { wordAt } from './timeline.js';

const SCROLL_KEYS = new Set(['PageUp', 'PageDown', 'Home', 'End', 'ArrowUp', 'ArrowDown', ' ']);

// Answers how to stop.
/** @param {Model} view */
export function followPlayer(view) {
  const abort = new AbortController();
  const marks = new Marks(view);
  const stop = effect(() => {
    const ms = view.player.ms.value;
    view.text.version.value; // rows that were drawn again have lost their marks
    marks.move(ms, view.player.playing.value);
  });
  // What only a person does; the page itself scrolls by script.
  const scrolled = () => {
    if (view.player.playing.value) view.following.value = false;
  };
  const options = { signal: abort.signal, passive: true };
  addEventListener('wheel', scrolled, options);
  addEventListener('touchmove', scrolled, options);
  addEventListener(
    'keydown',
    (event) => SCROLL_KEYS.has(event.key) && event.target === document.body && scrolled(),
    options,
  );
  addEventListener('scroll', () => view.scroller.movedByUs || document.hidden || marks.lost(), options);
  return () => {
    stop();
    abort.abort();
  };
}

class Marks {
  /** @param {Model} view */
  constructor(view) {
    this.view = view;
    this.number = -1;
    /** @type {Element[]} */
    this.marked = [];
  }

  /**
   * @param {number} ms
   * @param {boolean} playing
   */
  move(ms, playing) {
    const { text, scroller, following } = this.view;
    const number = text.timeline.around(ms);
    const entered = number !== this.number;
    this.number = number;
    this.mark(number, ms);
    if (number < 0 || !playing || !following.peek()) return;
    if (entered && !scroller.isInSight(number)) scroller.show(number);
  }

  // Straight in the page: sixty times a second is too often for drawing rows again.
  /**
   * @param {number} number
   * @param {number} ms
   */
  mark(number, ms) {
    const row = number < 0 ? null : this.view.scroller.row(number);
    const place = row ? wordAt(this.view.text.sentences[number].words, ms) : -1;
    const word = place < 0 ? null : row?.querySelector(`[data-word="${place}"]`);
    const wanted = ms > 0 ? [row, word].filter((element) => element != null) : [];
    for (const element of this.marked) if (!wanted.includes(element)) element.classList.remove('spoken');
    for (const element of wanted) element.classList.add('spoken');
    this.marked = wanted;
  }

  // The scroll bar was dragged: what is spoken is out of sight, and not by us.
  lost() {
    const { player, scroller, following } = this.view;
    this.mark(this.number, player.ms.peek()); // rows come into sight without their marks
    if (player.playing.peek() && following.peek() && this.number >= 0 && !scroller.isInSight(this.number)) {
      following.value = false;
    }
  }
}
