// @ts-check
// Copying text, and saying so. Over plain http a browser has no clipboard for scripts, but still the old command.
import { t } from '../i18n.js';
import { announce } from './announce.js';

/** @param {string} text */
export async function copyText(text) {
  if ((await written(text)) || selected(text)) announce(t('copy.done'));
  else announce(t('copy.failed'), { failed: true });
}

/** @param {string} text */
async function written(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // there is none, or it is not allowed here: the old way may be
  }
}

// From inside of a dialog, where one is open: what is outside of it cannot be selected.
/** @param {string} text */
function selected(text) {
  const focused = /** @type {HTMLElement} */ (document.activeElement);
  const field = document.createElement('textarea');
  field.value = text;
  field.className = 'hidden';
  field.setAttribute('aria-hidden', 'true');
  (document.querySelector('dialog[open]') ?? document.body).append(field);
  field.select();
  const copied = document.execCommand('copy');
  field.remove();
  focused?.focus({ preventScroll: true });
  return copied;
}
