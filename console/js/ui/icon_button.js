// @ts-check
// A button that is only an icon; its words are read out, and shown while the mouse rests on it.
import { html } from '../lib.js';
import { Icon } from './icon.js';

/**
 * @param {{ icon: string, words: string, act: (event: AnyEvent) => unknown, size?: 'small' | '', off?: boolean,
 *   tab?: number, kind?: string }} props
 */
export function IconButton({ icon, words, act, size = 'small', off = false, tab, kind = '' }) {
  const names = ['quiet square', size, kind].filter(Boolean).join(' ');
  return html`
    <button type="button" class=${names} tabindex=${tab} aria-label=${words} title=${words} disabled=${off} onClick=${act}>
      <${Icon} name=${icon} />
    </button>
  `;
}
