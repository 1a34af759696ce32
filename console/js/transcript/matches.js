// @ts-check
// Where words stand in a transcript. Pure. Upper and lower case are the same, and so are full and half width.

// A text in the form that is compared, and for each of its letters the place in the original.
/** @param {string} text */
function folded(text) {
  // Most texts keep their length: then a place is its own.
  const whole = text.normalize('NFKC').toLowerCase();
  if (whole.length === text.length) return { flat: whole, places: null };
  let flat = '';
  const places = [];
  for (let place = 0; place < text.length;) {
    const letter = String.fromCodePoint(text.codePointAt(place));
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
 * @param {string} asked
 */
export function matchesIn(text, asked) {
  const wanted = asked.normalize('NFKC').toLowerCase();
  if (!wanted) return [];
  const { flat, places } = folded(text);
  const found = [];
  for (let at = flat.indexOf(wanted); at >= 0; at = flat.indexOf(wanted, at + wanted.length)) {
    const behind = at + wanted.length;
    found.push(places ? [places[at], places[behind]] : [at, behind]);
  }
  return found;
}

// All of them, in the order of the transcript: [{ number, match }], `match` counts within the sentence.
/**
 * @param {Sentence[]} sentences
 * @param {string} asked
 */
export function findAll(sentences, asked) {
  /** @type {{ number: number, match: number }[]} */
  const found = [];
  sentences.forEach((sentence, number) => {
    matchesIn(sentence.text, asked).forEach((_, match) => found.push({ number, match }));
  });
  return found;
}
