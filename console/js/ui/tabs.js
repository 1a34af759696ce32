// @ts-check
// Tabs as the ARIA practices have them: one stop of the Tab key, arrows between them.
import { html, useRef } from '../lib.js';
import { t } from '../i18n.js';
import { Icon } from './icon.js';

/** @type {Record<string, number>} */
const STEPS = { ArrowRight: 1, ArrowLeft: -1 };

// `items`: [{ id, icon, words }]; `children` is the panel of the chosen one.
/**
 * @typedef {{ id: string, icon?: string, words: string }} Tab
 * @param {{ label: string, items: Tab[], chosen: string, choose: (id: string) => void, children: Children }} props
 */
export function Tabs({ label, items, chosen, choose, children }) {
  const list = useRef(/** @type {HTMLElement | null} */ (null));
  /** @param {AnyEvent} event */
  const move = (event) => {
    const here = items.findIndex((item) => item.id === chosen);
    let next = here + (STEPS[event.key] ?? 0);
    if (event.key === 'Home') next = 0;
    if (event.key === 'End') next = items.length - 1;
    next = (next + items.length) % items.length;
    if (next === here) return;
    event.preventDefault();
    choose(items[next].id);
    /** @type {HTMLElement | undefined} */ (list.current?.children[next])?.focus();
  };
  return html`
    <div class="segments" role="tablist" aria-label=${label} ref=${list} onKeyDown=${move}>
      ${items.map(
        (item) => html`
          <button
            key=${item.id}
            id="tab-${item.id}"
            role="tab"
            type="button"
            aria-selected=${item.id === chosen ? 'true' : 'false'}
            aria-controls="tab-panel"
            tabindex=${item.id === chosen ? 0 : -1}
            onClick=${() => choose(item.id)}
          >
            ${item.icon && html`<${Icon} name=${item.icon} />`}<span>${t(item.words)}</span>
          </button>
        `,
      )}
    </div>
    <div id="tab-panel" role="tabpanel" aria-labelledby="tab-${chosen}">${children}</div>
  `;
}
