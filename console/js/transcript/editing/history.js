// @ts-check
// What people made of a sentence before: who, when, and the text, which can be taken into the editor again.
import { html } from '../../lib.js';
import { moment } from '../../format.js';
import { t } from '../../i18n.js';
import { useLoad } from '../../ui/load.js';
import { Failure, Loading } from '../../ui/states.js';
import { undoRevision } from './structure.js';

/** @param {{ view: Model, number: number, take: (text: string) => void }} props */
export function History({ view, number, take }) {
  const { revision, machine_text } = view.text.seen(number);
  /** @type {(abort: AbortSignal) => Promise<Revision[]>} */
  const read = (abort) => view.text.history(number, abort);
  const { data: revisions, failure, load } = useLoad(read, [number, revision]);
  if (failure) return html`<${Failure} error=${failure} again=${load} />`;
  if (!revisions) return html`<${Loading} />`;
  return html`
    <ol class="history" aria-label=${t('history.title')}>
      ${revisions.map(
        (one, place) => html`
          <${Entry} key=${one.revision} text=${one.text} take=${place > 0 && take}
            about=${`${moment(one.edited_at)} · ${one.edited_by_name ?? one.edited_by ?? t('history.nobody')}`}
            kind=${kindOf(one)} undo=${place === 0 && canUndo(one) && (() => undoRevision(view, number, one))} />
        `,
      )}
      <${Entry} text=${machine_text} about=${t('history.recognised')} take=${take} kind="" />
    </ol>
  `;
}

/** @param {Revision} revision */
function kindOf({ structure, text, text_before }) {
  if (structure) return t(`history.${structure.kind}`);
  return text === text_before ? t('history.confirmed') : '';
}

/** @param {Revision} revision */
function canUndo({ structure }) {
  return structure?.kind === 'split' || structure?.kind === 'merged';
}

/**
 * @param {{ text: string, about: string, kind: string, take: ((text: string) => void) | false,
 *   undo?: (() => void) | false }} props
 */
function Entry({ text, about, kind, take, undo }) {
  return html`
    <li>
      <p class="muted">${about}${kind && ` · ${kind}`}</p>
      <p class="row">
        <span class="history-text">${text}</span>
        ${take && html`<button class="quiet small" onClick=${() => take(text)}>${t('history.take')}</button>`}
        ${undo && html`<button class="quiet small" onClick=${undo}>${t('history.undo')}</button>`}
      </p>
    </li>
  `;
}
