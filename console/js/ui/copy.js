// @ts-check
// A button that copies, and a secret that is shown once.
import { html } from '../lib.js';
import { t } from '../i18n.js';
import { copyText } from './clipboard.js';
import { Dialog } from './dialog.js';
import { Icon } from './icon.js';

/** @param {{ text: string }} props */
export function Copy({ text }) {
  return html`<button class="small" type="button" onClick=${() => copyText(text)}><${Icon} name="copy" />${t('copy.do')}</button>`;
}

/** @param {{ title: string, words: string, value: any, close: () => void }} props */
export function Secret({ title, words, value, close }) {
  /** @param {AnyEvent} event */
  const select = (event) => event.target.select();
  return html`
    <${Dialog} title=${title} close=${close}>
      <p>${words}</p>
      <input class="mono secret" readonly value=${value} aria-label=${title} onFocus=${select} />
      <div class="dialog-foot">
        <${Copy} text=${value} />
        <button class="primary small" onClick=${close}>${t('secret.kept')}</button>
      </div>
    <//>
  `;
}
