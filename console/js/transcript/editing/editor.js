// @ts-check
// A sentence that is being corrected, in its place. What is typed is kept as a draft with every key, and saved when the
// field is left.
import { html, useLayoutEffect, useRef, useState } from '../../lib.js';
import { Problem, explained } from '../../api.js';
import { t } from '../../i18n.js';
import { announce } from '../../ui/announce.js';
import { History } from './history.js';
import { piecesOf } from '../pieces.js';
import { boundaries } from './structure.js';

const LONGEST = 5000;
const BACK_MS = 2000;

/**
 * Shortcuts while typing, with Alt; by position on the keyboard, because Alt changes letters on a Mac.
 * @param {Model} view
 * @param {Sentence} item
 * @param {(then: () => void) => void} save
 * @param {number} number
 * @param {() => void} confirm
 * @returns {Record<string, () => void>}
 */
function shortcuts(view, item, save, number, confirm) {
  const { player } = view;
  return {
    KeyK: () => player.toggle(),
    KeyJ: () => player.skip(-BACK_MS),
    KeyL: () => player.toggleLoop(item.start_ms, item.end_ms),
    Comma: () => player.faster(-1),
    Period: () => player.faster(1),
    KeyC: confirm,
    KeyN: () => save(() => view.nextUnsure(number)),
    ArrowDown: () => save(() => view.editNeighbour(number, 1)),
    ArrowUp: () => save(() => view.editNeighbour(number, -1)),
  };
}

// What is selected at the start: the word that is looked at, or the end of the text.
/**
 * @param {Model} view
 * @param {Sentence} item
 * @param {string} draft
 * @returns {[number, number]}
 */
function selection(view, item, draft) {
  const { caret } = view;
  view.caret = null;
  if (caret !== null) return [caret, caret];
  const piece = piecesOf(draft, item.words).find((one) => one.word >= 0 && one.word === view.lookedAt);
  return piece ? [piece.start, piece.start + piece.text.length] : [draft.length, draft.length];
}

/**
 * The text that is typed, and how it is saved.
 * @param {Model} view
 * @param {number} number
 * @param {Sentence} item
 */
function useDraft(view, number, item) {
  const id = view.text.idOf(number);
  const kept = view.drafts.of(id);
  const [draft, setDraft] = useState(kept?.text ?? item.text);
  // What the person saw when they began: an edit that arrives while they write is a conflict.
  const [seen, setSeen] = useState(kept?.seen ?? view.text.seen(number));
  const [failure, setFailure] = useState(/** @type {unknown} */ (null));
  const [theirs, setTheirs] = useState(/** @type {string | null} */ (null)); // the text of a concurrent correction
  const saving = useRef(false);
  // Also after a call, while which sentences before it may have come or gone.
  const seenNow = () => {
    const place = view.text.placeOf(id);
    if (place >= 0) setSeen(view.text.seen(place));
  };

  /** @param {string} text */
  const change = (text) => {
    setDraft(text);
    if (text === item.text) view.drafts.drop(id);
    else view.drafts.keep(id, text, seen);
  };
  // Where another correction came first, its text is shown beside this one.
  /** @param {unknown} error */
  const refused = async (error) => {
    if (!(error instanceof Problem) || error.code !== 'edit_conflict') return setFailure(error);
    try {
      const now = await view.text.reread(number);
      seenNow();
      setTheirs(now.text);
    } catch (again) {
      setFailure(again);
    }
  };
  // Then does what is asked; not where it failed: the text stays, and so does the draft.
  /** @param {() => void} then */
  const save = async (then) => {
    const text = draft.trim();
    if (saving.current) return;
    setFailure(text ? null : { detail: t('edit.empty') });
    if (!text) return;
    saving.current = true;
    try {
      if (text !== item.text) {
        await view.correct(number, text, seen);
        announce(t('edit.saved'));
      }
      view.drafts.drop(id);
      seenNow();
      setTheirs(null);
      then();
    } catch (error) {
      await refused(error);
    } finally {
      saving.current = false;
    }
  };
  // Confirming a word makes a new revision, which is this person's own.
  return { draft, change, save, seen, failure, theirs, renew: seenNow };
}

// The place of the machine's word at the cursor; -1 if there is none, as in a text that a person wrote.
/**
 * @param {Sentence} item
 * @param {HTMLTextAreaElement} area
 */
function wordAtCursor(item, area) {
  const piece = piecesOf(area.value, item.words).find(
    ({ start, text }) => start <= area.selectionStart && area.selectionStart < start + text.length,
  );
  return piece ? piece.word : -1;
}

/** @param {{ view: Model, number: number, item: Sentence }} props */
export function Editor({ view, number, item }) {
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const field = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  const { draft, change, save, seen, failure, theirs, renew } = useDraft(view, number, item);
  const leave = () => view.edit(null, number);
  const [past, setPast] = useState(false); // whether the history is shown
  const given = useRef(false); // given up: leaving the field saves nothing
  const cancel = () => {
    given.current = true;
    view.cancel(number, draft, seen);
  };
  const { splitHere, mergeNext, mergeBefore, isAtStart } = boundaries(view, number, field, save, given);

  const select = () => {
    const area = field.current;
    if (area) area.setSelectionRange(...selection(view, item, area.value));
  };
  // Marks the word at the cursor as right, and goes on to the next unsure one.
  const confirm = () =>
    save(async () => {
      const word = field.current ? wordAtCursor(item, field.current) : -1;
      if (word < 0) return announce(t('edit.no_word'));
      if (!(await view.confirm(number, word))) return;
      renew();
      view.nextUnsure(number, word);
      if (view.editing.peek() === number) select();
    });

  // Before the next key is pressed, not after the next frame: what is typed at once goes into the field.
  useLayoutEffect(() => {
    field.current?.focus({ preventScroll: true });
    select();
    if (!view.scroller.isInSight(number)) view.scroller.show(number);
    return () => view.player.endLoop();
  }, []);
  useLayoutEffect(() => {
    const area = field.current;
    if (!area) return;
    area.style.height = 'auto';
    area.style.height = `${area.scrollHeight + 2}px`;
  }, [draft]);

  /** @param {AnyEvent} event */
  const onKey = (event) => {
    if (event.isComposing) return; // Enter chooses a Chinese character
    const act = event.altKey && !event.ctrlKey && shortcuts(view, item, save, number, confirm)[event.code];
    if (act) act();
    else if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) splitHere();
    else if (isAtStart(event)) mergeBefore();
    else if (event.key === 'Enter') save(event.shiftKey ? leave : () => view.editNeighbour(number, 1));
    else if (event.key === 'Escape') cancel();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  /** @param {any} event */
  const onLeave = (event) => {
    const stays = given.current || box.current?.contains(event.relatedTarget);
    if (!stays && theirs === null && draft.trim() && draft.trim() !== item.text) save(() => {});
  };
  return html`
    <div class="editor" ref=${box} onFocusOut=${onLeave}>
      <textarea
        ref=${field}
        rows="1"
        maxlength=${LONGEST}
        aria-label=${t('edit.label')}
        aria-describedby=${`edit-hint-${number}`}
        aria-invalid=${failure ? 'true' : null}
        value=${draft}
        onInput=${(/** @type {AnyEvent} */ event) => change(event.target.value.replace(/\s*\n\s*/g, ' '))}
        onKeyDown=${onKey}
      ></textarea>
      ${theirs !== null && html`<${Conflict} theirs=${theirs} keep=${() => save(leave)} take=${() => view.takeTheirs(number)} />`}
      ${failure && html`<p class="edit-failure" role="alert">${explained(failure).what}</p>`}
      <div class="row" onMouseDown=${stay}>
        <button class="primary small" onClick=${() => save(leave)}>${t('edit.save')}</button>
        <button class="quiet small" onClick=${cancel}>${t('dialog.cancel')}</button>
        <button class="quiet small" onClick=${confirm}>${t('edit.confirm')}</button>
        ${
          view.text.loaded.value &&
          html`<button class="quiet small" onClick=${splitHere}>${t('edit.split')}</button>
          ${
            number + 1 < view.text.sentences.length &&
            html`<button class="quiet small" onClick=${mergeNext}>${t('edit.merge')}</button>`
          }`
        }
        ${
          item.edit &&
          html`<button class="quiet small" aria-expanded=${past} onClick=${() => setPast(!past)}>${t('history.open')}</button>`
        }
        <span class="hint" id=${`edit-hint-${number}`}>${t('edit.hint')}</span>
      </div>
      ${past && html`<div onMouseDown=${stay}><${History} view=${view} number=${number} take=${change} /></div>`}
    </div>
  `;
}

// A click on a button leaves the focus in the field, also in browsers that would remove it.
/** @param {Event} event */
function stay(event) {
  event.preventDefault();
}

/** @param {{ theirs: string, keep: () => void, take: () => void }} props */
function Conflict({ theirs, keep, take }) {
  return html`
    <div class="conflict" role="alert">
      <p>${t('edit.conflict')}</p>
      <p class="conflict-text">${theirs}</p>
      <div class="row" onMouseDown=${stay}>
        <button class="small" onClick=${keep}>${t('edit.keep_mine')}</button>
        <button class="small" onClick=${take}>${t('edit.take_theirs')}</button>
      </div>
    </div>
  `;
}
