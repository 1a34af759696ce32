// @ts-check
// Finding words in the transcript: the browser's own search sees only the rows that are drawn.
import { html, signal, useEffect, useLayoutEffect, useRef } from '../lib.js';
import { t } from '../i18n.js';
import { IconButton } from '../ui/icon_button.js';
import { findAll, matchesIn } from './matches.js';
import { ReplaceRow } from './editing/replacing.js';

const PAUSE_MS = 120;

export class Finder {
  /** @param {import('./text.js').Text} text */
  constructor(text) {
    this.text = text;
    this.open = signal(false);
    this.query = signal('');
    this.exact = signal(false); // large and small letters differ
    this.replacing = signal(false);
    this.matches = signal(/** @type {{ number: number, match: number }[]} */ ([]));
    this.place = signal(-1);
    this.current = signal(/** @type {{ number: number, match: number } | null} */ (null));
  }

  // Chooses the first match at or behind a sentence.
  /**
   * @param {string} words
   * @param {number} [from]
   */
  ask(words, from = 0) {
    this.query.value = words.trim();
    this.matches.value = findAll(this.text.sentences, this.query.value, this.exact.value);
    const behind = this.matches.value.findIndex((match) => match.number >= from);
    this.choose(behind < 0 ? 0 : behind);
  }

  // After the text has changed: chooses the first match at or behind a place in a sentence.
  /**
   * @param {number} [number]
   * @param {number} [place]
   */
  again(number = 0, place = 0) {
    const { query, exact, matches } = this;
    matches.value = findAll(this.text.sentences, query.value, exact.value);
    const here = matchesIn(this.text.sentences[number]?.text ?? '', query.value, exact.value);
    const passed = here.filter(([start]) => start < place).length;
    const next = matches.value.findIndex(
      (one) => one.number > number || (one.number === number && one.match >= passed),
    );
    this.choose(Math.max(next, 0));
  }

  // The text has changed elsewhere.
  refresh() {
    this.matches.value = findAll(this.text.sentences, this.query.value, this.exact.value);
    this.choose(Math.max(0, Math.min(this.place.value, this.matches.value.length - 1)));
  }

  /** @param {boolean} exact */
  setExact(exact) {
    this.exact.value = exact;
    this.again();
  }

  /** @param {number} place */
  choose(place) {
    const { length } = this.matches.value;
    this.place.value = length ? (place + length) % length : -1;
    this.current.value = this.matches.value[this.place.value] ?? null;
  }

  /** @param {number} by */
  step(by) {
    this.choose(this.place.value + by);
  }

  close() {
    this.open.value = false;
    this.replacing.value = false;
    this.ask('');
  }
}

/** @param {{ view: Model }} props */
export function FindBar({ view }) {
  const { finder, scroller } = view;
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  const timer = useRef(/** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined));
  useLayoutEffect(() => {
    field.current?.focus();
    return () => clearTimeout(timer.current);
  }, []);
  const version = view.text.version.value;
  useEffect(() => finder.refresh(), [version]);
  const show = () => {
    if (!finder.current.value) return;
    view.following.value = false;
    scroller.show(finder.current.value.number);
  };
  /** @param {number} by */
  const step = (by) => {
    finder.step(by);
    show();
  };
  /** @param {AnyEvent} event */
  const onInput = (event) => {
    clearTimeout(timer.current);
    const words = event.target.value;
    timer.current = setTimeout(() => {
      finder.ask(words, scroller.range()[0]);
      show();
    }, PAUSE_MS);
  };
  /** @param {AnyEvent} event */
  const onKey = (event) => {
    if (event.key === 'Enter' && !event.isComposing) step(event.shiftKey ? -1 : 1);
    else if (event.key === 'Escape') view.closeFind();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const count = finder.matches.value.length;
  return html`
    <div class="find" role="search">
      <input ref=${field} type="search" aria-label=${t('find.label')} placeholder=${t('find.label')}
        value=${finder.query.value} onInput=${onInput} onKeyDown=${onKey} />
      <span class="find-count" role="status">
        ${finder.query.value && (count ? t('find.count', { n: count, place: finder.place.value + 1 }) : t('find.none'))}
      </span>
      <${IconButton} icon="up" words=${t('find.before')} off=${!count} act=${() => step(-1)} />
      <${IconButton} icon="down" words=${t('find.next')} off=${!count} act=${() => step(1)} />
      ${
        view.mayEdit &&
        html`<button class="quiet small" aria-expanded=${finder.replacing.value}
          onClick=${() => (finder.replacing.value = !finder.replacing.value)}>${t('replace.open')}</button>`
      }
      <${IconButton} icon="close" words=${t('find.close')} act=${() => view.closeFind()} />
      ${finder.replacing.value && html`<${ReplaceRow} view=${view} />`}
    </div>
  `;
}
