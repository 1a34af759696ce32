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
  // once all of it is there: it must not be short meanwhile, or after a page that failed. Raises Problem.
  async load() {
    /** @type {Sentence[]} */
    const sentences = [];
    const again = this.loaded.peek();
    this.own.clear(); // what is read now has it
    for (let after = /** @type {number | null} */ (-1); after !== null;) {
      const page = await this.page(after);
      for (const sentence of page.data) sentences.push(sentence);
      after = page.next;
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

  /**
   * @param {number} number
   * @param {Sentence} sentence
   */
  replace(number, sentence) {
    this.own.set(sentence.number, sentence);
    this.sentences[number] = sentence;
    this.version.value += 1;
  }

  // Puts sentences in the place of others.
  /**
   * @param {number} number
   * @param {number} count
   * @param {Sentence[]} made
   */
  splice(number, count, made) {
    for (const sentence of this.sentences.slice(number, number + count)) this.own.delete(sentence.number);
    for (const sentence of made) this.own.set(sentence.number, sentence);
    this.sentences = [...this.sentences.slice(0, number), ...made, ...this.sentences.slice(number + count)];
    this.timeline = new Timeline(this.sentences);
    this.version.value += 1;
  }

  // Raises Problem like `correct`.
  /**
   * @param {number} number
   * @param {{ at_character: number, at_word?: number }} where
   */
  async split(number, where) {
    const { data } = await post(`${this.path(number)}/split`, { ...where, ...this.seen(number) });
    this.splice(number, 1, data);
  }

  // With the next one. Raises Problem like `correct`.
  /** @param {number} number */
  async merge(number) {
    const next = this.seen(number + 1);
    const { data } = await post(`${this.path(number)}/merge`, {
      ...this.seen(number),
      next: this.idOf(number + 1),
      next_revision: next.revision,
      next_machine_text: next.machine_text,
    });
    this.splice(number, 2, data);
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
    this.replace(number, await patch(this.path(number), { text, ...seen }));
  }

  // All of them, or none; repeated until the API is there. Raises Problem; `edit_conflict` like `correct`.
  /** @param {({ number: number, text: string | null } & Seen)[]} corrections */
  async correctAll(corrections) {
    const path = `v1/transcriptions/${this.id}/corrections`;
    const named = corrections.map((item) => ({ ...item, number: this.idOf(item.number) }));
    const { data } = await post(path, { corrections: named }, { again: true });
    const places = new Map(this.sentences.map((sentence, place) => [sentence.number, place]));
    for (const { number, text, edit } of data) {
      const place = places.get(number) ?? number;
      const sentence = { ...this.sentences[place], text, edit };
      this.own.set(number, sentence);
      this.sentences[place] = sentence;
    }
    this.version.value += 1;
  }

  // The places of the words that people have checked. Raises Problem like `correct`.
  /**
   * @param {number} number
   * @param {number[]} confirmed
   */
  async confirm(number, confirmed) {
    this.replace(number, await patch(this.path(number), { confirmed, ...this.seen(number) }));
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
    this.replace(number, sentence);
    return sentence;
  }

  get channels() {
    return this.sentences.reduce((most, sentence) => Math.max(most, sentence.channel + 1), 1);
  }

  close() {
    this.abort.abort();
  }
}
