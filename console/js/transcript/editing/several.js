// @ts-check
// Corrections of several sentences in one step, and their undoing.
import { t } from '../../i18n.js';
import { announce } from '../../ui/announce.js';
import { refused } from './refused.js';

const CORRECTIONS = 5000; // of one call

/** @typedef {{ number: number, text: string | null } & import('../text.js').Seen} Correction */
// `number` is the sentence's id.
/** @typedef {{ number: number, text: string | null, after: string, machine_text: string }} Replaced */

// Each call changes all of its sentences or none. What was changed is one step of undo, also where a later call fails.
// Answers whether all was done; if not, it has said so.
/**
 * @param {Model} view
 * @param {Correction[]} corrections
 */
export async function correctAll(view, corrections) {
  const { text, history } = view;
  /** @type {Replaced[]} */
  const several = [];
  const done = await inCalls(view, corrections, async (chunk) => {
    const before = chunk.map(({ number }) => text.sentences[number].edit?.text ?? null);
    await text.correctAll(chunk);
    chunk.forEach(({ number, machine_text }, place) =>
      several.push({
        number: text.idOf(number),
        text: before[place],
        after: text.sentences[number].text,
        machine_text,
      }),
    );
  });
  if (several.length) history.push({ number: several[0].number, several });
  if (!done && several.length) announcePart('replace.partly', several.length, corrections.length);
  return done;
}

// Nothing of it where somebody has changed one of the sentences since. What a later call could not undo stays a step.
/**
 * @param {Model} view
 * @param {Replaced[]} several
 */
export async function undoAll(view, several) {
  const { text, history } = view;
  const places = new Map(text.sentences.map((sentence, place) => [sentence.number, place]));
  /** @param {number} number */
  const placeOf = (number) => places.get(number) ?? -1;
  const changed = several.some(({ number, after }) => text.sentences[placeOf(number)]?.text !== after);
  if (changed) return announce(t('replace.changed'), { failed: true });
  let undone = 0;
  const done = await inCalls(view, several, async (chunk) => {
    await text.correctAll(
      chunk.map(({ number, text: before, machine_text }) => ({
        number: placeOf(number),
        text: before,
        machine_text,
        revision: text.seen(placeOf(number)).revision,
      })),
    );
    undone += chunk.length;
  });
  const rest = several.slice(undone);
  if (rest.length) history.push({ number: rest[0].number, several: rest });
  if (done) announce(t('replace.undone'));
  else if (undone) announcePart('replace.partly_undone', undone, several.length);
  view.scroller.show(placeOf(several[0].number));
}

/**
 * @template T
 * @param {Model} view
 * @param {T[]} items
 * @param {(chunk: T[]) => Promise<void>} act
 */
async function inCalls(view, items, act) {
  try {
    for (let start = 0; start < items.length; start += CORRECTIONS) await act(items.slice(start, start + CORRECTIONS));
    return true;
  } catch (error) {
    await refused(error, () => view.text.load());
    return false;
  }
}

/**
 * @param {string} words
 * @param {number} done
 * @param {number} all
 */
function announcePart(words, done, all) {
  announce(t(words, { done, all }), { failed: true });
}
