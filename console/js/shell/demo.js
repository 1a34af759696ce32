// @ts-check
// Says that the demo model does not understand people, and how to get one that does.
import { html, useEffect } from '../lib.js';
import { t } from '../i18n.js';
import { chosenModel, load } from '../models.js';
import { Icon } from '../ui/icon.js';

const DEMO = 'demo-zh';
const COMMAND = 'PARAQUEUE_MODEL=paraformer-large-zh make run';

// `model` is the one that was used or will be; '' is the default one.
/** @param {{ model: string }} props */
export function DemoNotice({ model }) {
  useEffect(load, []);
  const used = model || chosenModel('')?.id;
  if (used !== DEMO) return null;
  return html`
    <div class="notice demo" role="note">
      <${Icon} name="warning" />
      <p>${t('demo.notice')} <code>${COMMAND}</code></p>
    </div>
  `;
}
