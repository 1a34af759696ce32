// @ts-check
// Replacing what was found: one match, or all of them in one step.
import { html, useState } from '../../lib.js';
import { clock } from '../../format.js';
import { t } from '../../i18n.js';
import { announce } from '../../ui/announce.js';
import { matchesIn, replaced } from '../matches.js';
import { correctAll } from './several.js';

/** @typedef {{ number: number, text: string, revision: number, machine_text: string }} Replacement */

// The corrections that replace all matches; of sentences that stay as they are, none. Only one match with `only`.
/**
 * @param {Model} view
 * @param {string} by
 * @param {{ number: number, match: number } | null} [only]
 * @returns {Replacement[]}
 */
function planned(view, by, only = null) {
  const { query, exact, matches } = view.finder;
  const numbers = only ? [only.number] : [...new Set(matches.peek().map((match) => match.number))];
  return numbers.flatMap((number) => {
    const before = view.text.sentences[number].text;
    const all = matchesIn(before, query.peek(), exact.peek());
    const text = replaced(before, only ? all.slice(only.match, only.match + 1) : all, by);
    return text === before ? [] : [{ number, text, ...view.text.seen(number) }];
  });
}

// Answers whether it was done; a sentence that would be empty stops it.
/**
 * @param {Model} view
 * @param {Replacement[]} corrections
 */
async function carriedOut(view, corrections) {
  const empty = corrections.find((one) => !one.text.trim());
  if (empty) {
    const time = clock(view.text.sentences[empty.number].start_ms);
    announce(t('replace.empty', { time }), { failed: true });
    return false;
  }
  return correctAll(view, corrections);
}

/** @param {{ view: Model }} props */
export function ReplaceRow({ view }) {
  const { finder } = view;
  const [by, setBy] = useState('');
  const [working, setWorking] = useState(false);
  const [done, setDone] = useState(/** @type {{ matches: number, last: unknown } | null} */ (null));
  const matches = finder.matches.value;
  const sentences = new Set(matches.map((match) => match.number)).size;
  /** @param {() => Promise<void>} act */
  const run = async (act) => {
    setWorking(true);
    await act();
    setWorking(false);
  };
  const one = () =>
    run(async () => {
      const here = finder.current.peek();
      if (!here) return;
      const { text } = view.text.sentences[here.number];
      const [start] = matchesIn(text, finder.query.peek(), finder.exact.peek())[here.match] ?? [0];
      const corrections = planned(view, by, here);
      if (!corrections.length || (await carriedOut(view, corrections))) finder.again(here.number, start + by.length);
      if (finder.current.peek()) view.scroller.show(finder.current.peek()?.number ?? 0);
    });
  const all = () =>
    run(async () => {
      const { length } = matches;
      const corrections = planned(view, by);
      if (!corrections.length || !(await carriedOut(view, corrections))) return finder.again();
      setDone({ matches: length, last: view.history.at(-1) });
      announce(t('replace.done', { n: length }));
      finder.again();
    });
  const undo = () =>
    run(async () => {
      await view.undoLast();
      setDone(null);
      finder.again();
    });
  /** @param {AnyEvent} event */
  const onKey = (event) => {
    if (event.key === 'Enter' && !event.isComposing) one();
    else if (event.key === 'Escape') view.closeFind();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return html`
    <div class="replace-row">
      <input type="text" aria-label=${t('replace.label')} placeholder=${t('replace.label')} value=${by}
        onInput=${(/** @type {AnyEvent} */ event) => setBy(event.target.value)} onKeyDown=${onKey} />
      <label class="choice">
        <input type="checkbox" checked=${finder.exact.value}
          onChange=${(/** @type {AnyEvent} */ event) => finder.setExact(event.target.checked)} />
        <span>${t('replace.exact')}</span>
      </label>
      <button class="small" disabled=${working || !matches.length} onClick=${one}>${t('replace.once')}</button>
      <button class="small" disabled=${working || !matches.length} onClick=${all}>${t('replace.all', { n: matches.length })}</button>
      <span class="hint">${matches.length > 0 && t('replace.where', { n: sentences })}</span>
      ${
        done &&
        done.last === view.history.at(-1) &&
        html`<button class="quiet small" disabled=${working} onClick=${undo}>${t('replace.undo', { n: done.matches })}</button>`
      }
    </div>
  `;
}
