// A button that copies, and a secret that is shown once.
import { html } from '../lib.js';
import { t } from '../i18n.js';
import { announce } from './announce.js';
import { Dialog } from './dialog.js';
import { Icon } from './icon.js';

// The clipboard is there on https pages and localhost only; elsewhere people select the text.
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    announce(t('copy.done'));
  } catch {
    announce(t('copy.failed'), { failed: true });
  }
}

export function Copy({ text }) {
  return html`<button class="small" type="button" onClick=${() => copy(text)}><${Icon} name="copy" />${t('copy.do')}</button>`;
}

export function Secret({ title, words, value, close }) {
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
