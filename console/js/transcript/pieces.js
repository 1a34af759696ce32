// @ts-check
// Splits a sentence's text into its words and the text between them. Pure.

// [{ text, start, word }]: `start` is the place in the text, `word` the place among the words or -1. Where the text is
// not made of the words, as a person's is not, it is one piece.
/**
 * @param {string} text
 * @param {{ text: string }[]} words
 */
export function piecesOf(text, words) {
  const pieces = [];
  let reached = 0;
  for (let place = 0; place < words.length; place += 1) {
    const start = text.indexOf(words[place].text, reached);
    if (start < 0) return [{ text, start: 0, word: -1 }];
    if (start > reached) pieces.push({ text: text.slice(reached, start), start: reached, word: -1 });
    reached = start + words[place].text.length;
    pieces.push({ text: words[place].text, start, word: place });
  }
  if (reached < text.length) pieces.push({ text: text.slice(reached), start: reached, word: -1 });
  return pieces;
}

// A piece cut where matches begin and end: [{ text, match }], `match` is the place among the matches or -1.
/**
 * @param {Piece} piece
 * @param {number[][]} matches
 */
export function cutByMatches(piece, matches) {
  const behind = piece.start + piece.text.length;
  const parts = [];
  let reached = piece.start;
  matches.forEach(([from, to], match) => {
    const start = Math.max(from, reached);
    const end = Math.min(to, behind);
    if (start >= end) return;
    if (start > reached) parts.push({ text: piece.text.slice(reached - piece.start, start - piece.start), match: -1 });
    parts.push({ text: piece.text.slice(start - piece.start, end - piece.start), match });
    reached = end;
  });
  if (reached < behind) parts.push({ text: piece.text.slice(reached - piece.start), match: -1 });
  return parts;
}
