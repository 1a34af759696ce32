// @ts-check
// Which summary to make: a built-in kind or a template of the tenant, and its language.
import { html, useState } from '../lib.js';
import { get } from '../api.js';
import { t } from '../i18n.js';
import { may } from '../session.js';
import { Icon } from '../ui/icon.js';
import { useLoad } from '../ui/load.js';

export const KINDS = ['minutes', 'decisions', 'todos'];
// A tenant has no more.
const MOST_TEMPLATES = 100;

// The templates that a choice offers, none for who may not read them; null until they are known.
/** @returns {SummaryTemplate[] | null} */
export function useTemplates() {
  const { data } = useLoad(
    async (abort) =>
      may('read')
        ? get('v1/summary-templates', { limit: MOST_TEMPLATES }, { signal: abort })
        : { data: [], next: null },
    [],
  );
  return data?.data ?? null;
}

/** @param {{ request: (wanted: Record<string, string>) => Promise<void> }} props */
export function Choice({ request }) {
  const templates = useTemplates();
  const [busy, setBusy] = useState(false);
  /** @param {AnyEvent} event */
  const send = async (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    const kind = String(form.get('kind'));
    const language = String(form.get('language'));
    setBusy(true);
    await request({
      ...(KINDS.includes(kind) ? { kind } : { template_id: kind }),
      ...(language && { language }),
    });
    setBusy(false);
  };
  return html`
    <form class="stack" onSubmit=${send}>
      <p class="hint">${t('summary.why')}</p>
      <div class="row">
        <label class="field">
          <span class="label">${t('summary.what')}</span>
          <select name="kind"><${KindOptions} templates=${templates ?? []} /></select>
        </label>
        <label class="field">
          <span class="label">${t('summary.language')}</span>
          <select name="language">
            <option value="">${t('summary.language.auto')}</option>
            <option value="zh">中文</option>
            <option value="en">English</option>
          </select>
        </label>
      </div>
      <div><button class="primary" type="submit" disabled=${busy}><${Icon} name="list" />${t('summary.make')}</button></div>
    </form>
  `;
}

/** @param {{ templates: SummaryTemplate[], chosen?: string }} props */
export function KindOptions({ templates, chosen }) {
  return html`
    ${KINDS.map((kind) => html`<option key=${kind} value=${kind} selected=${kind === chosen}>${t(`summary.kind.${kind}`)}</option>`)}
    ${templates.map((one) => html`<option key=${one.id} value=${one.id} selected=${one.id === chosen}>${one.name}</option>`)}
  `;
}
