// @ts-check
// Hotwords as people type them: one per line, or separated by commas; `word`, `word:weight` or `wrong=>right`.
const SHORTEST = 2;
const LONGEST = 30;
const HEAVIEST = 10;
const WEIGHTED = /^(.*\S)\s*:\s*([0-9]{1,3})$/u;

// Separated by what no hotword contains; signs of Chinese keyboards do as well.
/** @param {string} text */
export function wordsOf(text) {
  return distinct(text.split(/[,，、；\n]/).map((word) => word.replace('＝＞', '=>').replace('：', ':')));
}

// Masked words may contain commas.
/** @param {string} text */
export function linesOf(text) {
  return distinct(text.split('\n'));
}

/** @param {string} text */
export function tagsOf(text) {
  return distinct(text.split(/[,，、;；\n]/));
}

/** @param {string[]} words */
function distinct(words) {
  return [...new Set(words.map((word) => word.trim()).filter(Boolean))];
}

// The first word that the API would refuse for its length or weight; it has the last word on the rest.
/** @param {string[]} words */
export function firstWrong(words) {
  return words.find((word) => !fits(word));
}

/** @param {string} entry */
function fits(entry) {
  if (entry.includes('=>')) {
    const [wrong, right, ...more] = entry.split('=>').map((word) => word.trim());
    return !more.length && sized(wrong) && sized(right) && wrong !== right;
  }
  const weighted = WEIGHTED.exec(entry);
  if (!weighted) return sized(entry);
  return sized(weighted[1]) && Number(weighted[2]) >= 1 && Number(weighted[2]) <= HEAVIEST;
}

/** @param {string} word */
function sized(word) {
  const length = [...word].length;
  return length >= SHORTEST && length <= LONGEST;
}
