// @ts-check
// The button that shares a transcript, for people who may.
import { html, useState } from '../lib.js';
import { t } from '../i18n.js';
import { may } from '../session.js';
import { Icon } from '../ui/icon.js';
import { ShareDialog } from './dialog.js';

/** @param {{ job: Job }} props */
export function ShareButton({ job }) {
  const [open, setOpen] = useState(false);
  if (!may('submit') || !may('read') || job.status !== 'completed') return null;
  return html`
    <button class="small" onClick=${() => setOpen(true)}><${Icon} name="share" />${t('share.open')}</button>
    ${open && html`<${ShareDialog} job=${job} close=${() => setOpen(false)} />`}
  `;
}
