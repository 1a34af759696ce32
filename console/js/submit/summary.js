// @ts-check
// Whether what is submitted is summarised too, and how.
import { html, useEffect } from '../lib.js';
import { caller } from '../api.js';
import { t } from '../i18n.js';
import { KINDS, KindOptions, useTemplates } from '../summaries/choice.js';

// In the API's form, without what is not given.
/** @param {string} summary */
export function chosenSummary(summary) {
  return summary && caller.value?.summaries ? { summary } : {};
}

// A chosen template that is gone is let go of.
/** @param {{ chosen: string, change: (values: Record<string, any>) => void }} props */
export function SummaryField({ chosen, change }) {
  const templates = useTemplates();
  const known = !chosen || KINDS.includes(chosen) || !templates || templates.some((one) => one.id === chosen);
  useEffect(() => {
    if (!known) change({ summary: '' });
  }, [known]);
  return html`
    <label class="field">
      <span class="label">${t('summary.title')}</span>
      <select onChange=${(/** @type {AnyEvent} */ event) => change({ summary: event.target.value })}>
        <option value="" selected=${!chosen}>${t('summary.none')}</option>
        <${KindOptions} templates=${templates ?? []} chosen=${chosen} />
      </select>
      ${chosen && html`<span class="hint">${t('summary.why')}</span>`}
    </label>
  `;
}
