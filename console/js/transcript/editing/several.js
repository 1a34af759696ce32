// @ts-check
// Corrections of several sentences in one step, and their undoing.
import { Problem } from '../../api.js';
import { t } from '../../i18n.js';
import { announce, report } from '../../ui/announce.js';

const CORRECTIONS = 5000; // of one call

/** @typedef {{ number: number, text: string | null } & import('../text.js').Seen} Correction */
// `number` is the sentence's id.
/** @typedef {{ number: number, text: string | null, after: string, machine_text: string }} Replaced */

// Each call changes all of its sentences or none, and is one step of undo. Raises Problem.
/**
 * @param {Model} view
 * @param {Correction[]} corrections
 */
export async function correctAll(view, corrections) {
  const { text, history } = view;
  for (let start = 0; start < corrections.length; start += CORRECTIONS) {
    const chunk = corrections.slice(start, start + CORRECTIONS);
    const before = chunk.map(({ number }) => text.sentences[number].edit?.text ?? null);
    await text.correctAll(chunk);
    const several = chunk.map(({ number, machine_text }, place) => ({
      number: text.idOf(number),
      text: before[place],
      after: text.sentences[number].text,
      machine_text,
    }));
    history.push({ number: several[0].number, several });
  }
}

// Nothing of it where somebody has changed one of the sentences since.
/**
 * @param {Model} view
 * @param {Replaced[]} several
 */
export async function undoAll(view, several) {
  const { text } = view;
  const places = new Map(text.sentences.map((sentence, place) => [sentence.number, place]));
  const changed = several.some(({ number, after }) => text.sentences[places.get(number) ?? -1]?.text !== after);
  if (changed) return announce(t('replace.changed'), { failed: true });
  const corrections = several.map(({ number, text: before, machine_text }) => {
    const place = places.get(number) ?? -1;
    return { number: place, text: before, machine_text, revision: text.seen(place).revision };
  });
  try {
    await text.correctAll(corrections);
    announce(t('replace.undone'));
    view.scroller.show(corrections[0].number);
  } catch (error) {
    report(error);
    if (error instanceof Problem && error.code === 'edit_conflict') await text.load().catch(report);
  }
}
