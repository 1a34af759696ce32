// @ts-check
// A form in front of the page: what is filled in is handed to `send`; an error stays beside it.
import { html, useState } from '../lib.js';
import { t } from '../i18n.js';
import { Dialog } from './dialog.js';
import { Failure } from './states.js';

/** @param {{ title: string, doing: string, send: (form: FormData) => Promise<unknown>, close: () => void, children: Children }} props */
export function FormDialog({ title, doing, send, close, children }) {
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState(/** @type {unknown} */ (null));
  /** @param {AnyEvent} event */
  const go = async (event) => {
    event.preventDefault();
    setBusy(true);
    setFailure(null);
    try {
      await send(new FormData(event.target));
    } catch (error) {
      setFailure(error);
    }
    setBusy(false);
  };
  return html`
    <${Dialog} title=${title} close=${close}>
      <form class="stack" onSubmit=${go}>
        ${children}
        ${failure && html`<${Failure} error=${failure} />`}
        <div class="dialog-foot">
          <button type="button" onClick=${close}>${t('dialog.cancel')}</button>
          <button class="primary" type="submit" disabled=${busy}>${doing}</button>
        </div>
      </form>
    <//>
  `;
}

/** @param {{ label: string, hint: string, [key: string]: any }} props */
export function Field({ label, hint, ...more }) {
  return html`
    <label class="field">
      <span class="label">${label}</span>
      <input ...${more} />
      ${hint && html`<span class="hint">${hint}</span>`}
    </label>
  `;
}

// Some of a few; `chosen` are ticked at the start.
/** @param {{ name: string, legend: string, items: { value: string, words: string, hint?: string }[], chosen: string[] }} props */
export function Ticks({ name, legend, items, chosen }) {
  return html`
    <fieldset>
      <legend>${legend}</legend>
      <div class="choices">
        ${items.map(
          ({ value, words, hint }) => html`
            <label class="choice" key=${value}>
              <input type="checkbox" name=${name} value=${value} defaultChecked=${chosen.includes(value)} />
              <span>${words}${hint && html`<br /><span class="hint">${hint}</span>`}</span>
            </label>
          `,
        )}
      </div>
    </fieldset>
  `;
}
