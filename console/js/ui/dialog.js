// @ts-check
// A question in front of the page. The browser's own <dialog> keeps the focus in, and closes on Escape.
import { html, useEffect, useRef, useState } from '../lib.js';
import { t } from '../i18n.js';
import { Failure } from './states.js';

// Shown for as long as it is in the page; `close` is called when a person leaves it.
/**
 * `fromTop`: it is longer than a phone, and its first control is at its end; the focus would scroll it there.
 * @param {{ title: string, close: () => void, fromTop?: boolean, children: Children }} props
 */
export function Dialog({ title, close, fromTop = false, children }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useEffect(() => {
    const before = /** @type {HTMLElement} */ (document.activeElement);
    dialog.current?.showModal();
    return () => (before?.isConnected ? before : document.getElementById('main'))?.focus();
  }, []);
  return html`
    <dialog ref=${dialog} aria-labelledby="dialog-title" onClose=${close}>
      <div class="dialog-body">
        <h2 id="dialog-title" tabindex=${fromTop ? -1 : null} autofocus=${fromTop}>${title}</h2>
        ${children}
      </div>
    </dialog>
  `;
}

// Asks before something is done; `act` may take its time, and may fail.
/**
 * `keep`: the words for leaving it, where "Cancel" could be taken for what is asked.
 * @param {{ title: string, words: string, doing: string, keep?: string, danger?: boolean, act: () => Promise<unknown>,
 *   close: () => void }} props
 */
export function Confirm({ title, words, doing, keep = t('dialog.cancel'), danger = true, act, close }) {
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState(/** @type {unknown} */ (null));
  const go = async () => {
    setBusy(true);
    try {
      await act();
      close();
    } catch (error) {
      setBusy(false);
      setFailure(error);
    }
  };
  return html`
    <${Dialog} title=${title} close=${close}>
      <p>${words}</p>
      ${failure && html`<${Failure} error=${failure} />`}
      <div class="dialog-foot">
        <button autofocus onClick=${close}>${keep}</button>
        <button class=${danger ? 'danger' : 'primary'} disabled=${busy} onClick=${go}>${doing}</button>
      </div>
    <//>
  `;
}
