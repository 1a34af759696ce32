// @ts-check
// Corrections that are typed and not saved yet: kept in the browser, so that a crash, a lost connection or a closed tab
// loses none of them. `number` is the sentence's id everywhere here.
import { signal } from '../../lib.js';
import { recall, remember } from '../../storage.js';

/** @typedef {{ text: string, seen: import('../text.js').Seen }} Draft */

export class Drafts {
  /** @param {string} id the transcription's */
  constructor(id) {
    this.name = `drafts.${id}`;
    /** @type {Signal<Record<string, Draft>>} */
    this.all = signal(recall(this.name, {}));
  }

  get numbers() {
    return Object.keys(this.all.value).map(Number);
  }

  /** @param {number} number */
  of(number) {
    return this.all.peek()[number] ?? null;
  }

  /**
   * `seen` is what was read of the sentence when it was begun to be edited.
   * @param {number} number
   * @param {string} text
   * @param {import('../text.js').Seen} seen
   */
  keep(number, text, seen) {
    this.store({ ...this.all.peek(), [number]: { text, seen } });
  }

  /** @param {number[]} numbers */
  drop(...numbers) {
    if (!numbers.some((number) => this.of(number))) return;
    const rest = { ...this.all.peek() };
    for (const number of numbers) delete rest[number];
    this.store(rest);
  }

  /** @param {Record<string, Draft>} all */
  store(all) {
    this.all.value = all;
    remember(this.name, Object.keys(all).length ? all : null);
  }
}
