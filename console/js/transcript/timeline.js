// @ts-check
// Which sentence and which word are spoken at a moment. Pure; both are looked for by halving.

// The place of the last item that begins at or before a moment; -1 where none does.
/**
 * @param {any[]} items
 * @param {number} ms
 * @param {(item: any) => number} startOf
 */
function lastBegun(items, ms, startOf) {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (startOf(items[middle]) <= ms) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

// Sentences in the order in which they begin: those of several channels overlap, and stand in the transcript as they
// were finished.
export class Timeline {
  /** @param {Sentence[]} sentences */
  constructor(sentences) {
    this.sentences = sentences;
    this.order = sentences.map((_, number) => number);
    /** @param {number} number */
    const start = (number) => sentences[number].start_ms;
    this.order.sort((a, b) => start(a) - start(b) || a - b);
    // How far anything that began up to here reaches: the search back ends where nothing can reach the moment.
    this.reach = [];
    let reach = 0;
    for (const number of this.order) {
      reach = Math.max(reach, sentences[number].end_ms);
      this.reach.push(reach);
    }
  }

  // The number of the sentence that is spoken at a moment, the latest to begin of several; in a pause -1.
  /** @param {number} ms */
  at(ms) {
    let place = lastBegun(this.order, ms, (number) => this.sentences[number].start_ms);
    for (; place >= 0 && this.reach[place] > ms; place -= 1) {
      if (this.sentences[this.order[place]].end_ms > ms) return this.order[place];
    }
    return -1;
  }

  // The sentence that is spoken, or in a pause the one before it; -1 before the first.
  /** @param {number} ms */
  around(ms) {
    const now = this.at(ms);
    if (now >= 0) return now;
    return this.order[lastBegun(this.order, ms, (number) => this.sentences[number].start_ms)] ?? -1;
  }

  // In a pause that is longer than `least`, the moment at which the next sentence begins; null elsewhere, and after the
  // last sentence.
  /**
   * @param {number} ms
   * @param {number} least ms
   */
  afterPause(ms, least) {
    const place = lastBegun(this.order, ms, (number) => this.sentences[number].start_ms);
    const next = this.order[place + 1];
    const spokenUntil = this.reach[place] ?? 0;
    if (next === undefined || spokenUntil > ms) return null;
    const start = this.sentences[next].start_ms;
    return start - spokenUntil >= least ? start : null;
  }
}

// The place of the word of a sentence that is spoken at a moment: a word lasts until the next one begins, for in fast
// speech they overlap; the last one until the sentence ends.
/**
 * @param {{ start_ms: number }[]} words
 * @param {number} ms
 */
export function wordAt(words, ms) {
  return lastBegun(words, ms, (word) => word.start_ms);
}
