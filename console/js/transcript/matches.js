// @ts-check
// Finds words in a transcript, ignoring case and full-width forms unless `exact`. Pure.

// A text in the form that is compared, and for each of its letters the place in the original.
/** @param {string} text */
function folded(text) {
  // Most texts keep their length: then a place is its own.
  const whole = text.normalize('NFKC').toLowerCase();
  if (whole.length === text.length) return { flat: whole, places: null };
  let flat = '';
  const places = [];
  for (let place = 0; place < text.length;) {
    const letter = String.fromCodePoint(text.codePointAt(place) ?? 0);
    const form = letter.normalize('NFKC').toLowerCase();
    for (let n = 0; n < form.length; n += 1) places.push(place);
    flat += form;
    place += letter.length;
  }
  places.push(text.length);
  return { flat, places };
}

/**
 * @param {string} text
 * @param {string} query
 * @param {boolean} [exact]
 */
export function matchesIn(text, query, exact = false) {
  const wanted = exact ? query : query.normalize('NFKC').toLowerCase();
  if (!wanted) return [];
  const { flat, places } = exact ? { flat: text, places: null } : folded(text);
  const matches = [];
  for (let at = flat.indexOf(wanted); at >= 0; at = flat.indexOf(wanted, at + wanted.length)) {
    const behind = at + wanted.length;
    // Of a letter that stands for several, ㎏ for kg, only the whole is a match.
    const cuts = places && [at, behind].some((place) => place > 0 && places[place] === places[place - 1]);
    if (!cuts) matches.push(places ? [places[at], places[behind]] : [at, behind]);
  }
  return matches;
}

// All of them, in the order of the transcript: [{ number, match }], `match` counts within the sentence.
/**
 * @param {Sentence[]} sentences
 * @param {string} query
 * @param {boolean} [exact]
 */
export function findAll(sentences, query, exact = false) {
  /** @type {{ number: number, match: number }[]} */
  const matches = [];
  sentences.forEach((sentence, number) => {
    matchesIn(sentence.text, query, exact).forEach((_, match) => matches.push({ number, match }));
  });
  return matches;
}

// A text in which some of its matches, [from, to], are replaced.
/**
 * @param {string} text
 * @param {number[][]} matches
 * @param {string} by
 */
export function replaced(text, matches, by) {
  let reached = 0;
  let made = '';
  for (const [from, to] of matches) {
    made += text.slice(reached, from) + by;
    reached = to;
  }
  return made + text.slice(reached);
}
