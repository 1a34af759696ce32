// @ts-check
// Buttons for what a job is: its name and tags, and its details.
import { html, useState } from '../lib.js';
import { t } from '../i18n.js';
import { may } from '../session.js';
import { FormDialog } from '../ui/form_dialog.js';
import { IconButton } from '../ui/icon_button.js';
import { Details } from './details.js';
import { LabelFields, useLabels } from './label_fields.js';
import { nameOf } from './name.js';

// `onEdit`: where the name and the tags are edited in place; elsewhere a dialog asks for them.
/** @param {{ job: Job, onEdit?: () => void }} props */
export function About({ job, onEdit }) {
  const [open, setOpen] = useState(/** @type {'edit' | 'details' | null} */ (null));
  const name = nameOf(job);
  const close = () => setOpen(null);
  return html`
    ${may('submit') && may('read') && html`<${IconButton} icon="edit" words=${t('labels.do', { name })} act=${onEdit ?? (() => setOpen('edit'))} />`}
    <${IconButton} icon="info" words=${t('details.of', { name })} act=${() => setOpen('details')} />
    ${open === 'edit' && html`<${Edit} job=${job} close=${close} />`}
    ${open === 'details' && html`<${Details} job=${job} close=${close} />`}
  `;
}

/** @param {{ job: Job, close: () => void }} props */
function Edit({ job, close }) {
  const { tags, setTags, save } = useLabels(job, close);
  return html`
    <${FormDialog} title=${t('labels.title')} doing=${t('labels.save')} send=${save} close=${close}>
      <${LabelFields} job=${job} tags=${tags} setTags=${setTags} />
    <//>
  `;
}
