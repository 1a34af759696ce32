// @ts-check
// Words as people type them into a field, counted; what the API would refuse is said at once.
import { html } from '../lib.js';
import { t } from '../i18n.js';

/**
 * `split` makes words of what was typed, `wrong` finds one that does not fit.
 * @param {{ label: string, hint: string, value: string, rows: number, most: number, placeholder?: string, disabled?: boolean,
 *   change: (value: string) => void, split: (text: string) => string[], wrong?: (words: string[]) => string | undefined }} props
 */
export function WordsField({ label, hint, value, rows, most, placeholder, disabled = false, change, split, wrong }) {
  const words = split(value);
  const bad = wrong?.(words);
  const trouble = bad
    ? t('words.wrong', { word: bad })
    : words.length > most
      ? t('words.too_many', { n: words.length, most })
      : '';
  return html`
    <label class="field">
      <span class="label">${label}${words.length > 0 && ` (${words.length})`}</span>
      <textarea rows=${rows} value=${value} placeholder=${placeholder} disabled=${disabled} aria-invalid=${Boolean(trouble)}
        spellcheck="false" onInput=${(/** @type {AnyEvent} */ event) => change(event.target.value)}></textarea>
      <span class=${trouble ? 'hint warn' : 'hint'} role="status">${trouble || hint}</span>
    </label>
  `;
}
