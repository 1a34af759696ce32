// @ts-check
// The keyboard: what the keys do, and the dialog that says so.
import { html, useEffect } from '../lib.js';
import { t } from '../i18n.js';
import { Dialog } from '../ui/dialog.js';

const SKIP_MS = 5000;
const KEYS = [
  { keys: ['K'], words: 'keys.play' },
  { keys: ['J', 'L'], words: 'keys.skip' },
  { keys: ['<', '>'], words: 'keys.rate' },
  { keys: ['/', 'Ctrl F'], words: 'keys.find' },
  { keys: ['Ctrl H'], words: 'keys.replace', edits: true },
  { keys: ['↑', '↓'], words: 'keys.walk' },
  { keys: ['Enter'], words: 'keys.play_sentence' },
  { keys: ['E'], words: 'keys.edit', edits: true },
  { keys: ['N'], words: 'keys.next_unsure', edits: true },
  { keys: ['Ctrl Z'], words: 'keys.undo', edits: true },
  { keys: ['Enter', 'Shift Enter', 'Esc'], words: 'keys.editor', edits: true },
  { keys: ['Ctrl Enter'], words: 'keys.split', edits: true },
  { keys: ['Backspace'], words: 'keys.merge', edits: true },
  { keys: ['Alt ↑', 'Alt ↓'], words: 'keys.neighbour', edits: true },
  { keys: ['Alt N'], words: 'keys.save_next_unsure', edits: true },
  { keys: ['Alt C'], words: 'keys.confirm', edits: true },
  { keys: ['Alt K', 'Alt J'], words: 'keys.editor_play', edits: true },
  { keys: ['Alt L'], words: 'keys.editor_loop', edits: true },
  { keys: ['Alt ,', 'Alt .'], words: 'keys.rate', edits: true },
  { keys: ['?'], words: 'keys.help' },
];

/**
 * @param {Model} view
 * @param {() => void} help
 * @returns {Record<string, () => void>}
 */
function actions(view, help) {
  const { player } = view;
  return {
    k: () => player.toggle(),
    j: () => player.skip(-SKIP_MS),
    l: () => player.skip(SKIP_MS),
    '<': () => player.faster(-1),
    '>': () => player.faster(1),
    '/': () => view.openFind(),
    n: () => view.mayEdit && view.nextUnsure(view.scroller.cursor - 1),
    '?': help,
  };
}

/**
 * @param {Model} view
 * @param {() => void} help
 */
export function useKeys(view, help) {
  useEffect(() => {
    const known = actions(view, help);
    /** @param {any} event */
    const onKey = (event) => {
      if (event.defaultPrevented || document.querySelector('dialog[open]')) return;
      const finds = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'f';
      if (finds && view.text.sentences.length && !event.target.closest?.('.find')) {
        event.preventDefault(); // asked again from its field, the browser's own search opens
        view.openFind();
        return;
      }
      if (event.ctrlKey && event.key.toLowerCase() === 'h' && view.mayEdit && view.text.sentences.length) {
        event.preventDefault();
        view.openFind(true);
        return;
      }
      const undoes = (event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === 'z';
      const writes = event.target.matches?.('input:not([type="range"], [type="checkbox"]), textarea, select');
      if (undoes && !writes && view.mayEdit) {
        event.preventDefault();
        view.undoLast();
        return;
      }
      if (writes || event.ctrlKey || event.metaKey || event.altKey) return;
      const act = known[event.key.toLowerCase()];
      if (!act) return;
      event.preventDefault();
      act();
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, [view]);
}

/** @param {{ close: () => void, mayEdit: boolean }} props */
export function KeysDialog({ close, mayEdit }) {
  return html`
    <${Dialog} title=${t('keys.title')} close=${close} fromTop>
      <dl class="keys">
        ${KEYS.filter((item) => mayEdit || !item.edits).map(
          (item) => html`<div key=${item.words}>
            <dt>${item.keys.map((key) => html`<kbd>${key}</kbd>`)}</dt>
            <dd>${t(item.words)}</dd>
          </div>`,
        )}
      </dl>
      <div class="dialog-foot"><button onClick=${close}>${t('dialog.close')}</button></div>
    <//>
  `;
}
