// A sentence that is being corrected, in its place.
import { html, useLayoutEffect, useRef, useState } from '../lib.js';
import { explained } from '../api.js';
import { t } from '../i18n.js';
import { announce } from '../ui/announce.js';

const LONGEST = 5000;

export function Editor({ view, number, item }) {
  const field = useRef(null);
  const [draft, setDraft] = useState(item.text);
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState(null);
  const [theirs, setTheirs] = useState(null); // what somebody else made of it meanwhile
  // The revision when the person began: an edit that arrives while they write is a conflict.
  const [seen, setSeen] = useState(() => view.text.revision(number));

  // Before the next key is pressed, not after the next frame: what is typed at once goes into the field.
  useLayoutEffect(() => {
    field.current.focus({ preventScroll: true });
    field.current.setSelectionRange(draft.length, draft.length);
    if (!view.scroller.isInSight(number)) view.scroller.show(number);
  }, []);
  useLayoutEffect(() => {
    field.current.style.height = 'auto';
    field.current.style.height = `${field.current.scrollHeight + 2}px`;
  }, [draft]);

  const save = async (revision = seen) => {
    const text = draft.trim();
    if (!text) return setFailure({ detail: t('edit.empty') });
    setBusy(true);
    setFailure(null);
    try {
      await view.text.correct(number, text, revision);
      announce(t('edit.saved'));
      return view.edit(null, number);
    } catch (error) {
      setBusy(false);
      if (error.code !== 'edit_conflict') return setFailure(error);
      const now = await view.text.reread(number);
      setSeen(now.edit?.revision ?? 0);
      return setTheirs(now.text);
    }
  };
  const onKey = (event) => {
    if (event.isComposing) return; // Enter chooses a Chinese character
    if (event.key === 'Enter') save();
    else if (event.key === 'Escape') view.edit(null, number);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return html`
    <div class="editor">
      <textarea
        ref=${field}
        rows="1"
        maxlength=${LONGEST}
        aria-label=${t('edit.label')}
        aria-describedby=${`edit-hint-${number}`}
        aria-invalid=${failure ? 'true' : null}
        readonly=${busy}
        value=${draft}
        onInput=${(event) => setDraft(event.target.value.replace(/\s*\n\s*/g, ' '))}
        onKeyDown=${onKey}
      ></textarea>
      ${theirs !== null && html`<${Conflict} theirs=${theirs} keep=${() => save()} take=${() => view.edit(null, number)} />`}
      ${failure && html`<p class="edit-failure" role="alert">${explained(failure).what}</p>`}
      <div class="row">
        <button class="primary small" disabled=${busy} onClick=${() => save()}>${t(busy ? 'edit.saving' : 'edit.save')}</button>
        <button class="quiet small" disabled=${busy} onClick=${() => view.edit(null, number)}>${t('dialog.cancel')}</button>
        <span class="hint" id=${`edit-hint-${number}`}>${t('edit.hint')}</span>
      </div>
    </div>
  `;
}

function Conflict({ theirs, keep, take }) {
  return html`
    <div class="conflict" role="alert">
      <p>${t('edit.conflict')}</p>
      <p class="conflict-text">${theirs}</p>
      <div class="row">
        <button class="small" onClick=${keep}>${t('edit.keep_mine')}</button>
        <button class="small" onClick=${take}>${t('edit.take_theirs')}</button>
      </div>
    </div>
  `;
}
