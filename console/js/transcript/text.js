// @ts-check
// The sentences of one transcription: read by pages, or received part by part while it runs.
import { signal } from '../lib.js';
import { get, patch, post } from '../api.js';
import { Timeline } from './timeline.js';

const PAGE = 1000;

/** @typedef {{ revision: number, machine_text: string }} Seen */

export class Text {
  /** @param {string} id */
  constructor(id) {
    this.id = id;
    /** @type {Sentence[]} */
    this.sentences = [];
    this.timeline = new Timeline([]);
    // Goes up with every change: components read it to be drawn again.
    this.version = signal(0);
    this.speakers = signal(/** @type {Speaker[]} */ ([])); // none where they are not told apart, or not yet
    this.loaded = signal(false);
    this.own = new Map(); // what this page corrected: the event stream tells only what was there when it began
    this.reads = 0; // calls of `load` so far
    /** @type {Promise<void>} */
    this.lastRead = Promise.resolve();
    this.spliced = 0; // splits and merges of this page
    this.abort = new AbortController();
  }

  /** @param {number} [number] */
  path(number) {
    return `v1/transcriptions/${this.id}/sentences${number === undefined ? '' : `/${this.idOf(number)}`}`;
  }

  // A sentence's number in the API, its id; on the page, sentences are numbered by their places.
  /** @param {number} number */
  idOf(number) {
    return this.sentences[number]?.number ?? number;
  }

  // The place of a sentence; -1 if it is gone, merged with another.
  /** @param {number} id */
  placeOf(id) {
    return this.sentences[id]?.number === id ? id : this.sentences.findIndex(({ number }) => number === id);
  }

  // Raises Problem.
  /**
   * @param {number} after
   * @returns {Promise<{ data: Sentence[], next: number | null }>}
   */
  page(after) {
    return get(this.path(), { after, limit: PAGE }, { signal: this.abort.signal });
  }

  // All that is committed, page by page: the first is shown while the others come. Read again, the text changes only
  // once all of it is there: it must not be short meanwhile, or after a page that failed. Of calls that overlap, the
  // last one counts, because what the others read may be older; all end with it. Raises Problem.
  load() {
    this.lastRead = this.read();
    return this.lastRead;
  }

  /** @returns {Promise<void>} */
  async read() {
    const turn = (this.reads += 1);
    const { spliced } = this;
    /** @type {Sentence[]} */
    const sentences = [];
    const again = this.loaded.peek();
    this.own.clear(); // what is read now has it
    for (let after = /** @type {number | null} */ (-1); after !== null;) {
      const page = await this.page(after).catch((error) => {
        if (turn === this.reads) throw error;
      });
      if (turn !== this.reads || !page) return this.lastRead;
      for (const sentence of page.data) sentences.push(sentence);
      after = page.next;
      if (spliced !== this.spliced) return this.load(); // some of it was read before
      if (!again || after === null) this.take(sentences);
    }
    this.loaded.value = true;
  }

  // Raises Problem.
  async loadSpeakers() {
    const page = await get(`v1/transcriptions/${this.id}/speakers`, {}, { signal: this.abort.signal });
    this.speakers.value = page.data;
  }

  // Raises Problem.
  /**
   * @param {number} number
   * @param {string | null} name null removes the name
   */
  async nameSpeaker(number, name) {
    const page = await patch(`v1/transcriptions/${this.id}/speakers/${number}`, { name });
    this.speakers.value = page.data;
  }

  // The other takes all sentences. Raises Problem.
  /**
   * @param {number} number
   * @param {number} into
   */
  async mergeSpeakers(number, into) {
    const page = await post(`v1/transcriptions/${this.id}/speakers/${number}/merge`, { into });
    this.speakers.value = page.data;
    await this.load();
  }

  /** @param {Sentence[]} sentences */
  take(sentences) {
    this.sentences = sentences.map((sentence) => this.own.get(sentence.number) ?? sentence);
    this.timeline = new Timeline(this.sentences);
    this.version.value += 1;
  }

  // The event stream of a running job tells the sentences from the first one on.
  /** @param {Sentence[]} sentences */
  grow(sentences) {
    if (sentences.length < this.sentences.length && this.sentences[0]?.start_ms !== sentences[0]?.start_ms) {
      this.own.clear(); // another run
    }
    this.take(sentences);
  }

  // Shows a sentence as it is now. Its place is looked for: sentences before it may have come or gone.
  /** @param {Sentence} sentence */
  replace(sentence) {
    const place = this.placeOf(sentence.number);
    if (place < 0) return; // merged with another meanwhile
    this.own.set(sentence.number, sentence);
    this.sentences[place] = sentence;
    this.version.value += 1;
  }

  // Removes consecutive sentences, the first by its id, and inserts others in their place.
  /**
   * @param {number} id
   * @param {number} count
   * @param {Sentence[]} made
   */
  splice(id, count, made) {
    this.spliced += 1;
    const place = this.placeOf(id);
    if (place < 0) return;
    for (const sentence of this.sentences.slice(place, place + count)) this.own.delete(sentence.number);
    for (const sentence of made) this.own.set(sentence.number, sentence);
    this.sentences = [...this.sentences.slice(0, place), ...made, ...this.sentences.slice(place + count)];
    this.timeline = new Timeline(this.sentences);
    this.version.value += 1;
  }

  // Raises Problem like `correct`.
  /**
   * @param {number} number
   * @param {{ at_character: number, at_word?: number }} where
   */
  async split(number, where) {
    const id = this.idOf(number);
    const { data } = await post(`${this.path(number)}/split`, { ...where, ...this.seen(number) });
    this.splice(id, 1, data);
  }

  // With the next one. Raises Problem like `correct`.
  /** @param {number} number */
  async merge(number) {
    const id = this.idOf(number);
    const next = this.seen(number + 1);
    const { data } = await post(`${this.path(number)}/merge`, {
      ...this.seen(number),
      next: this.idOf(number + 1),
      next_revision: next.revision,
      next_machine_text: next.machine_text,
    });
    this.splice(id, 2, data);
  }

  // What was read of a sentence: a correction is refused if another user corrected it since, or if its number belongs
  // to another sentence by now.
  /**
   * @param {number} number
   * @returns {Seen}
   */
  seen(number) {
    const { edit, text } = this.sentences[number];
    return { revision: edit?.revision ?? 0, machine_text: edit?.machine_text ?? text };
  }

  // Raises Problem; `edit_conflict` if the sentence is no longer as it was seen.
  /**
   * @param {number} number
   * @param {string | null} text null restores the recognised text
   * @param {Seen} [seen]
   */
  async correct(number, text, seen = this.seen(number)) {
    this.replace(await patch(this.path(number), { text, ...seen }));
  }

  // All of them, or none; repeated until the API is there. Raises Problem; `edit_conflict` like `correct`.
  /** @param {({ number: number, text: string | null } & Seen)[]} corrections */
  async correctAll(corrections) {
    const path = `v1/transcriptions/${this.id}/corrections`;
    const named = corrections.map((item) => ({ ...item, number: this.idOf(item.number) }));
    const { data } = await post(path, { corrections: named }, { again: true });
    const changed = new Map(
      data.map((/** @type {Pick<Sentence, 'number' | 'text' | 'edit'>} */ item) => [item.number, item]),
    );
    for (const [place, sentence] of this.sentences.entries()) {
      const now = changed.get(sentence.number);
      if (!now) continue;
      this.sentences[place] = { ...sentence, text: now.text, edit: now.edit };
      this.own.set(sentence.number, this.sentences[place]);
    }
    this.version.value += 1;
  }

  // The places of the words that people have checked. Raises Problem like `correct`.
  /**
   * @param {number} number
   * @param {number[]} confirmed
   */
  async confirm(number, confirmed) {
    this.replace(await patch(this.path(number), { confirmed, ...this.seen(number) }));
  }

  // What people made of a sentence, the newest change first. Raises Problem.
  /**
   * @param {number} number
   * @param {AbortSignal} abort
   */
  async history(number, abort) {
    return (await get(`${this.path(number)}/history`, {}, { signal: abort })).data;
  }

  /** @param {number} number */
  async reread(number) {
    const sentence = await get(this.path(number));
    this.replace(sentence);
    return sentence;
  }

  // When the next speech begins, if a moment is in a pause of at least so many milliseconds.
  /**
   * @param {number} ms
   * @param {number} least
   */
  afterPause(ms, least) {
    return this.timeline.afterPause(ms, least);
  }

  get channels() {
    return this.sentences.reduce((most, sentence) => Math.max(most, sentence.channel + 1), 1);
  }

  close() {
    this.abort.abort();
  }
}
