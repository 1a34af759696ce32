// @ts-check
// How high a sentence will be, before it was ever drawn. Near enough that the scroll bar does not jump.

const REM = 16;
const LETTER_PX = 1.0625 * REM; // of a Chinese character, as css/transcript.css sets it
const LINE_PX = LETTER_PX * 1.75;
const AROUND_PX = 16; // above and below the words
const BESIDE_PX = 170; // the time before the words, and the buttons behind them
const BESIDE_PHONE_PX = 24;
const PHONE_PX = 640;

// Latin letters are about half as wide as Chinese ones.
/** @param {string} text */
function columns(text) {
  let wide = 0;
  for (let place = 0; place < text.length; place += 1) wide += text.charCodeAt(place) < 0x2000 ? 0.55 : 1;
  return wide;
}

/**
 * @param {Sentence} sentence
 * @param {number} width
 */
export function guessHeight(sentence, width) {
  const phone = width < PHONE_PX;
  const room = Math.max(8, Math.floor((width - (phone ? BESIDE_PHONE_PX : BESIDE_PX)) / LETTER_PX));
  const lines = Math.max(1, Math.ceil(columns(sentence.text) / room));
  return AROUND_PX + lines * LINE_PX + (phone ? 32 : 0);
}
