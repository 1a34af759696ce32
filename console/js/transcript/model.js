// @ts-check
// What one transcript page is made of, and what a person does with it.
import { computed, signal } from '../lib.js';
import { clock } from '../format.js';
import { t } from '../i18n.js';
import { route } from '../router.js';
import { may } from '../session.js';
import { recall, remember } from '../storage.js';
import { announce } from '../ui/announce.js';
import { copyText } from '../ui/clipboard.js';
import { Drafts } from './editing/drafts.js';
import { Finder } from './finder.js';
import { Player } from '../player/player.js';
import { Scroller } from '../list/scroller.js';
import { nameOfSpeaker } from './speakers.js';
import { refused } from './editing/refused.js';
import { undoLast } from './editing/undo.js';
import { Text } from './text.js';

const LOW = 0.6;

export class Model {
  // Visitors with a share link have another text and another recording, and change nothing.
  /**
   * @param {string} id
   * @param {{ text?: Text, recording?: string, mayEdit?: boolean }} [parts] `recording`: its path in the API
   */
  constructor(id, { text = new Text(id), recording = `v1/transcriptions/${id}`, mayEdit = may('submit') } = {}) {
    this.id = id;
    this.text = text;
    this.player = new Player(recording, text);
    this.scroller = new Scroller();
    this.finder = new Finder(this.text);
    this.following = signal(true);
    this.editing = signal(/** @type {number | null} */ (null)); // the number of the sentence that is being corrected
    this.low = signal(recall('unsure_below', LOW)); // words with less confidence are tinted; 0: none
    this.channels = computed(() => {
      this.text.version.value;
      return this.text.channels;
    });
    this.mayEdit = mayEdit;
    this.drafts = new Drafts(id);
    /** @type {import('./editing/undo.js').Done[]} */
    this.history = []; // what was done to the text on this page, the last at the end
    /** @type {number | null} */
    this.lookedAt = null; // the place of the word that is to be selected, where it is an unsure one
    /** @type {number | null} */
    this.caret = null; // where the cursor is to stand in the editor that opens next
    this.times = signal(recall('copy_times', false)); // in what is copied, and in the file of plain text
    this.showOriginal = signal(recall('show_original', false)); // the machine's text below a correction
  }

  // To the place that the address names: ?at= milliseconds, or ?s= the number of a sentence.
  start() {
    const { query } = route.peek();
    const wanted = query.has('s')
      ? this.text.placeOf(Number(query.get('s')))
      : query.has('at')
        ? this.text.timeline.around(Number(query.get('at')))
        : -1;
    const sentence = this.text.sentences[wanted];
    if (!sentence) return;
    this.player.wish(sentence.start_ms);
    this.scroller.focus(wanted);
  }

  /** @param {number} ms */
  playFrom(ms) {
    this.following.value = true;
    this.player.playFrom(ms);
  }

  follow() {
    this.following.value = true;
    const number = this.text.timeline.around(this.player.ms.peek());
    if (number >= 0) this.scroller.show(number);
  }

  /** @param {any} value */
  setLow(value) {
    this.low.value = value;
    remember('unsure_below', value);
  }

  // Begins to correct a sentence; null ends it, and the focus goes back to the sentence.
  /**
   * @param {number | null} number
   * @param {number | null} [from]
   */
  edit(number, from = null) {
    if (number !== null) this.player.audio.pause();
    this.editing.value = number;
    this.scroller.kept = number;
    if (from !== null) this.scroller.focus(from);
  }

  // The sentence before or after one; at the ends the focus goes back to the sentence.
  /**
   * @param {number} number
   * @param {1 | -1} step
   */
  editNeighbour(number, step) {
    this.lookedAt = null;
    if (this.text.sentences[number + step]) this.edit(number + step);
    else this.edit(null, number);
  }

  // Ends it without saving; the text comes back with Ctrl+Z.
  /**
   * @param {number} number
   * @param {string} draft
   * @param {import('./text.js').Seen} seen
   */
  cancel(number, draft, seen) {
    const id = this.text.idOf(number);
    if (draft !== this.text.sentences[number].text) this.history.push({ number: id, draft, seen });
    this.drafts.drop(id);
    this.edit(null, number);
  }

  // The other user's correction remains.
  /** @param {number} number */
  takeTheirs(number) {
    this.drafts.drop(this.text.idOf(number));
    this.edit(null, number);
  }

  // Raises Problem.
  /**
   * @param {number} number
   * @param {string} text
   * @param {import('./text.js').Seen} seen
   */
  async correct(number, text, seen) {
    const id = this.text.idOf(number);
    const before = this.text.sentences[number].edit?.text ?? null;
    await this.text.correct(number, text, seen);
    this.corrected(id, before, seen.machine_text);
  }

  // A step of undo.
  /**
   * @param {number} id the sentence's
   * @param {string | null} before
   * @param {string} machine_text
   */
  corrected(id, before, machine_text) {
    const now = this.text.sentences[this.text.placeOf(id)];
    if (now) this.history.push({ number: id, before, after: now.text, machine_text });
  }

  undoLast() {
    return undoLast(this);
  }

  // Back to what the machine made of it.
  /** @param {number} number */
  async restore(number) {
    const id = this.text.idOf(number);
    const before = this.text.sentences[number].edit?.text ?? null;
    const { machine_text } = this.text.seen(number);
    if (await this.change(number, null)) this.corrected(id, before, machine_text);
  }

  /**
   * @param {number} number
   * @param {string | null} text null restores the recognised text
   * @param {string} [machine_text] what was recognised where this change belongs; default: what stands there now
   */
  async change(number, text, machine_text = this.text.seen(number).machine_text) {
    const id = this.text.idOf(number);
    try {
      await this.text.correct(number, text, { ...this.text.seen(number), machine_text });
      announce(t(text === null ? 'edit.undone' : 'edit.saved'));
      this.scroller.focus(this.text.placeOf(id));
      return true;
    } catch (error) {
      await refused(error, () => this.text.reread(number));
      return false;
    }
  }

  // A person has checked this word of the machine's: it is no longer unsure. Answers whether that is saved.
  /**
   * @param {number} number
   * @param {number} word
   */
  async confirm(number, word) {
    const before = this.confirmed(number);
    if (before.includes(word)) return true;
    const id = this.text.idOf(number);
    if (!(await this.setConfirmed(number, [...before, word]))) return false;
    const place = this.text.placeOf(id);
    if (place >= 0) this.history.push({ number: id, confirmed: before, after: this.confirmed(place) });
    return true;
  }

  /** @param {number} number */
  confirmed(number) {
    return this.text.sentences[number].words.flatMap((word, place) => (word.confirmed ? [place] : []));
  }

  /**
   * @param {number} number
   * @param {number[]} confirmed
   */
  async setConfirmed(number, confirmed) {
    try {
      const more = confirmed.length > this.confirmed(number).length;
      await this.text.confirm(number, confirmed);
      announce(t(more ? 'edit.confirmed' : 'edit.unconfirmed'));
      return true;
    } catch (error) {
      await refused(error, () => this.text.reread(number));
      return false;
    }
  }

  // Goes to the next low-confidence word that was not visited, and selects it.
  /**
   * @param {number} from the sentence before the first that is looked through
   * @param {number} [word] with the place of a word, its sentence is looked through behind it first
   */
  nextUnsure(from, word) {
    const { sentences } = this.text;
    const low = this.low.peek();
    for (let number = word === undefined ? from + 1 : from; number < sentences.length; number += 1) {
      if (sentences[number].edit?.text != null) continue;
      const behind = number === from ? (word ?? -1) : -1;
      const found = sentences[number].words.findIndex((one, place) => place > behind && one.confidence < low);
      if (found < 0) continue;
      this.lookedAt = found;
      this.edit(number);
      return;
    }
    this.edit(null, Math.max(0, Math.min(from, sentences.length - 1)));
    announce(t('edit.no_more_unsure'));
  }

  /** @param {boolean} value */
  setShowOriginal(value) {
    this.showOriginal.value = value;
    remember('show_original', value);
  }

  /** @param {boolean} value */
  setTimes(value) {
    this.times.value = value;
    remember('copy_times', value);
  }

  /** @param {string} content */
  copy(content) {
    return copyText(content);
  }

  copyAll() {
    const several = this.channels.peek() > 1;
    const speakers = this.text.speakers.peek();
    /** @param {Sentence} sentence */
    const prefix = (sentence) => {
      if (sentence.speaker) return t('speaker.says', { name: nameOfSpeaker(speakers, sentence.speaker) });
      return several ? `[${sentence.channel + 1}] ` : '';
    };
    /** @param {Sentence} sentence */
    const time = (sentence) => (this.times.peek() ? `[${clock(sentence.start_ms)}] ` : '');
    const lines = this.text.sentences.map((sentence) => `${time(sentence)}${prefix(sentence)}${sentence.text}`);
    return this.copy(lines.join('\n'));
  }

  /** @param {boolean} [replacing] */
  openFind(replacing = false) {
    this.finder.open.value = true;
    if (replacing) this.finder.replacing.value = this.mayEdit;
    /** @type {HTMLElement} */ (document.querySelector('.find input'))?.focus();
  }

  closeFind() {
    const number = this.finder.current.value?.number ?? this.scroller.range()[0];
    this.finder.close();
    this.scroller.focus(number);
  }

  close() {
    this.player.close();
    this.text.close();
  }
}
