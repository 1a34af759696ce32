// @ts-check
// Short messages: shown for some seconds, and read out by screen readers.
import { html, signal } from '../lib.js';
import { explained } from '../api.js';
import { t } from '../i18n.js';
import { Icon } from './icon.js';
import { IconButton } from './icon_button.js';

const SHOWN_MS = 6000;
const FAILURE_SHOWN_MS = 15_000;
/** @type {Signal<{ id: number, text: string, failed: boolean }[]>} */
const messages = signal([]);
let count = 0;

/**
 * @param {string} text
 * @param {{ failed?: boolean }} [options]
 */
export function announce(text, { failed = false } = {}) {
  count += 1;
  const message = { id: count, text, failed };
  messages.value = [...messages.value, message];
  setTimeout(() => dismiss(message.id), failed ? FAILURE_SHOWN_MS : SHOWN_MS);
}

// Shows the error of a user's action.
/** @param {unknown} error */
export function report(error) {
  const { what, advice } = explained(error instanceof Error ? error : { message: String(error) });
  announce(advice ? `${what} ${advice}` : what, { failed: true });
}

/** @param {number} id */
function dismiss(id) {
  messages.value = messages.value.filter((message) => message.id !== id);
}

export function Announcer() {
  return html`
    <div class="messages" role="status" aria-live="polite">
      ${messages.value.map(
        (message) => html`
          <div key=${message.id} class=${message.failed ? 'message failed' : 'message'}>
            <${Icon} name=${message.failed ? 'warning' : 'check'} />
            <span>${message.text}</span>
            <${IconButton} icon="close" words=${t('dialog.close')} act=${() => dismiss(message.id)} />
          </div>
        `,
      )}
    </div>
  `;
}
