// @ts-check
// Splitting a sentence at the cursor, merging it with the next one, and undoing both. What is typed is saved first.
import { t } from '../../i18n.js';
import { announce, report } from '../../ui/announce.js';
import { refused } from './refused.js';

/**
 * Where the second sentence of a merged one began: word, and character as the API counts them.
 * @typedef {{ at_word: number, at_character: number }} Seam
 */

// The API counts code points, JavaScript half of some signs.
/** @param {string} text */
const length = (text) => [...text].length;

/** @param {string} text */
const letters = (text) => text.replace(/\s/g, '');

// The characters before the cursor, in a text that may have lost white space by being saved.
/**
 * @param {string} typed
 * @param {number} cursor
 * @param {string} saved
 */
export function charactersBefore(typed, cursor, saved) {
  let left = length(typed.slice(0, cursor).replace(/\s/g, ''));
  let count = 0;
  for (const sign of saved) {
    if (left === 0) break;
    count += 1;
    if (/\S/.test(sign)) left -= 1;
  }
  return count;
}

// Answers whether it was done; where somebody else has changed something, the text is read again.
/**
 * @param {Model} view
 * @param {() => Promise<void>} act
 */
async function done(view, act) {
  const { text } = view;
  try {
    await act();
    if (text.speakers.peek().length) text.loadSpeakers().catch(report); // their sums have changed
    return true;
  } catch (error) {
    await refused(error, () => text.load());
    return false;
  }
}

/**
 * @param {Model} view
 * @param {number} number
 * @param {number} character
 */
export async function split(view, number, character) {
  const { text } = view;
  const id = text.idOf(number);
  const before = text.sentences[number].edit?.text ?? null;
  if (character <= 0 || character >= length(text.sentences[number].text)) {
    announce(t('structure.nowhere'), { failed: true });
    return false;
  }
  if (!(await done(view, () => text.split(number, { at_character: character })))) return false;
  const place = text.placeOf(id);
  if (place < 0) return false;
  view.history.push({ number: id, before, parted: text.seen(place).revision });
  keepEditing(view, place, 1);
  announce(t('structure.split'));
  return true;
}

// With the next one; neither may have text that is not saved.
/**
 * @param {Model} view
 * @param {number} number
 */
export async function merge(view, number) {
  const { text, drafts } = view;
  const [first, second] = text.sentences.slice(number, number + 2);
  if (!second) return false;
  if (drafts.of(first.number) || drafts.of(second.number)) {
    announce(t('structure.draft'), { failed: true });
    return false;
  }
  if (!(await done(view, () => text.merge(number)))) return false;
  const place = text.placeOf(first.number);
  if (place < 0) return false;
  const now = text.sentences[place];
  const seam = { at_word: first.words.length, at_character: length(now.text) - length(second.text) };
  view.history.push({ number: first.number, merged: seam, revision: text.seen(place).revision });
  view.caret = now.text.length - second.text.length;
  keepEditing(view, place, -1);
  announce(t('structure.merged'));
  return true;
}

// The sentence that is being edited keeps its editor when rows before it come or go.
/**
 * @param {Model} view
 * @param {number} number
 * @param {1 | -1} more
 */
function keepEditing(view, number, more) {
  const editing = view.editing.peek();
  if (editing !== null && editing > number) view.edit(editing + more);
}

/**
 * @param {Model} view
 * @param {import('./undo.js').Parted | import('./undo.js').Merged} last
 */
export async function undoStructure(view, last) {
  const { text } = view;
  const number = text.placeOf(last.number);
  const revision = 'parted' in last ? last.parted : last.revision;
  if (number < 0 || text.seen(number).revision !== revision) {
    return announce(t('edit.changed_since'), { failed: true });
  }
  const undone = await ('merged' in last ? partAgain(view, number, last.merged) : joinAgain(view, number, last.before));
  if (!undone) return void view.history.push(last);
  announce(t('structure.undone'));
  view.scroller.focus(text.placeOf(last.number));
}

/**
 * @param {Model} view
 * @param {number} number
 * @param {Seam} seam
 */
async function partAgain(view, number, seam) {
  const id = view.text.idOf(number);
  const parted = await done(view, () => view.text.split(number, seam));
  if (parted) keepEditing(view, view.text.placeOf(id), 1);
  return parted;
}

/**
 * @param {Model} view
 * @param {number} number
 * @param {string | null} [before] a person's text, whose white space at the seam is lost
 */
async function joinAgain(view, number, before) {
  const { text } = view;
  const id = text.idOf(number);
  const joined = await done(view, async () => {
    await text.merge(number);
    const place = text.placeOf(id);
    const now = text.sentences[place]?.text ?? null;
    // What was corrected or split again since stays as it is.
    if (before == null || now === null || now === before || letters(now) !== letters(before)) return;
    await text.correct(place, before);
  });
  if (joined) keepEditing(view, text.placeOf(id), -1);
  return joined;
}

// Undoes the newest change in a sentence's history.
/**
 * @param {Model} view
 * @param {number} number
 * @param {Revision} newest
 */
export function undoRevision(view, number, { structure, revision, text_before }) {
  if (!structure) return;
  const { kind, at_word, at_character } = structure;
  const id = view.text.idOf(number);
  if (kind === 'merged' && at_word != null && at_character != null) {
    return undoStructure(view, { number: id, merged: { at_word, at_character }, revision });
  }
  const before = view.text.sentences[number].edit?.text != null ? (text_before ?? null) : null;
  return undoStructure(view, { number: id, before, parted: revision });
}

/**
 * What the editor of a sentence does with its boundaries.
 * @param {Model} view
 * @param {number} number
 * @param {{ current: HTMLTextAreaElement | null }} field
 * @param {(then: () => void) => void} save
 * @param {{ current: boolean }} given set while another editor takes over: leaving the field saves nothing then
 */
export function boundaries(view, number, field, save, given) {
  /** @param {() => Promise<boolean>} act */
  const handedOver = async (act) => {
    given.current = true;
    given.current = await act();
  };
  const splitHere = () => {
    const area = field.current;
    if (!area) return;
    const { value, selectionStart } = area;
    save(() =>
      handedOver(async () => {
        const id = view.text.idOf(number);
        const saved = view.text.sentences[number].text;
        if (!(await split(view, number, charactersBefore(value, selectionStart, saved)))) return false;
        view.caret = 0;
        view.edit(view.text.placeOf(id) + 1);
        return true;
      }),
    );
  };
  const mergeNext = () => save(() => handedOver(() => merge(view, number)));
  const mergeBefore = () => save(() => handedOver(() => merge(view, number - 1)));
  // Backspace at the very start.
  /** @param {KeyboardEvent} event */
  const isAtStart = (event) =>
    event.key === 'Backspace' && number > 0 && field.current?.selectionEnd === 0 && !event.altKey && !event.repeat;
  return { splitHere, mergeNext, mergeBefore, isAtStart };
}
