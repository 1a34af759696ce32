// @ts-check
// What was done to the text on this page, so that it can be undone: only where nobody has changed it since.
import { t } from '../../i18n.js';
import { announce } from '../../ui/announce.js';
import { undoAll } from './several.js';
import { undoStructure } from './structure.js';

/**
 * `number` is the sentence's id: its place may change. A correction or a confirmation knows what it replaced and what it
 * made; a text that was given up, what had been seen when it was begun.
 * @typedef {{ number: number, before: string | null, after: string, machine_text: string }} Corrected
 * @typedef {{ number: number, confirmed: number[], after: number[] }} Confirmed
 * @typedef {{ number: number, draft: string, seen: import('../text.js').Seen }} GivenUp
 * @typedef {{ number: number, several: import('./several.js').Replaced[] }} Several
 * @typedef {{ number: number, before: string | null, parted: number }} Parted `parted` is the revision that it made
 * @typedef {{ number: number, merged: import('./structure.js').Seam, revision: number }} Merged
 * @typedef {Corrected | Confirmed | GivenUp | Several | Parted | Merged} Done
 */

// The last correction that was made here, or the last text that was given up. What fails stays, to be undone later.
/** @param {Model} view */
export async function undoLast(view) {
  const last = view.history.pop();
  if (!last) return;
  if ('several' in last) return void (await undoAll(view, last.several));
  if ('parted' in last || 'merged' in last) return void (await undoStructure(view, last));
  const undone = 'draft' in last ? restored(view, last) : await undo(view, last);
  if (!undone) view.history.push(last);
}

/**
 * @param {Model} view
 * @param {GivenUp} last
 */
function restored(view, { number, draft, seen }) {
  const place = view.text.placeOf(number);
  if (place < 0) return gone();
  view.drafts.keep(number, draft, seen);
  view.edit(place);
  return true;
}

/**
 * @param {Model} view
 * @param {Corrected | Confirmed} last
 */
async function undo(view, last) {
  const number = view.text.placeOf(last.number);
  if (number < 0) return gone();
  const now = 'confirmed' in last ? view.confirmed(number).join() : view.text.sentences[number]?.text;
  if (now !== ('confirmed' in last ? last.after.join() : last.after)) {
    announce(t('edit.changed_since'), { failed: true });
    view.scroller.show(number);
    return true; // there is nothing to go back to
  }
  if ('confirmed' in last) return view.setConfirmed(number, last.confirmed);
  return view.change(number, last.before, last.machine_text);
}

// The sentence was merged with another since: there is nothing to go back to.
function gone() {
  announce(t('edit.changed_since'), { failed: true });
  return true;
}
