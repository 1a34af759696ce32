// The keyboard: what the keys do, and the dialog that says so.
import { html, useEffect, useRef } from '../lib.js';
import { t } from '../i18n.js';

const SKIP_MS = 5000;
const KEYS = [
  { keys: ['K'], words: 'keys.play' },
  { keys: ['J', 'L'], words: 'keys.skip' },
  { keys: ['<', '>'], words: 'keys.rate' },
  { keys: ['/', 'Ctrl F'], words: 'keys.find' },
  { keys: ['↑', '↓'], words: 'keys.walk' },
  { keys: ['Enter'], words: 'keys.play_sentence' },
  { keys: ['E'], words: 'keys.edit', edits: true },
  { keys: ['Enter', 'Esc'], words: 'keys.editor', edits: true },
  { keys: ['?'], words: 'keys.help' },
];

function actions(view, help) {
  const { player } = view;
  return {
    k: () => player.toggle(),
    j: () => player.skip(-SKIP_MS),
    l: () => player.skip(SKIP_MS),
    '<': () => player.faster(-1),
    '>': () => player.faster(1),
    '/': () => view.openFind(),
    '?': help,
  };
}

export function useKeys(view, help) {
  useEffect(() => {
    const known = actions(view, help);
    const onKey = (event) => {
      if (event.defaultPrevented || document.querySelector('dialog[open]')) return;
      const finds = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'f';
      if (finds && view.text.sentences.length && !event.target.closest?.('.find')) {
        event.preventDefault(); // asked again from its field, the browser's own search opens
        view.openFind();
        return;
      }
      const writes = event.target.matches?.('input:not([type="range"], [type="checkbox"]), textarea, select');
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

export function KeysDialog({ open, onClose, mayEdit }) {
  const dialog = useRef(null);
  useEffect(() => {
    if (open && !dialog.current.open) dialog.current.showModal();
    if (!open && dialog.current.open) dialog.current.close();
  }, [open]);
  return html`
    <dialog ref=${dialog} aria-labelledby="keys-title" onClose=${onClose}>
      <div class="dialog-body">
        <h2 id="keys-title">${t('keys.title')}</h2>
        <dl class="keys">
          ${KEYS.filter((item) => mayEdit || !item.edits).map(
            (item) => html`<div key=${item.words}>
              <dt>${item.keys.map((key) => html`<kbd>${key}</kbd>`)}</dt>
              <dd>${t(item.words)}</dd>
            </div>`,
          )}
        </dl>
        <div class="dialog-foot"><button onClick=${onClose}>${t('dialog.close')}</button></div>
      </div>
    </dialog>
  `;
}
