// @ts-check
// Search over all transcripts; a hit leads to its place in the recording.
import { html, useEffect, useRef } from '../lib.js';
import { get } from '../api.js';
import { clock, moment } from '../format.js';
import { t } from '../i18n.js';
import { link, route, setQuery } from '../router.js';
import { More, usePages } from '../ui/paging.js';
import { Empty, Failure, Loading } from '../ui/states.js';
import { useTitle } from '../ui/title.js';

const TYPING_MS = 300;
const LONGEST = 100;
const AROUND = 60; // letters before the first match of a long sentence

export function Search() {
  useTitle(t('search.title'));
  const query = route.value.query.get('q') ?? '';
  const timer = useRef(/** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined));
  /** @param {string} text */
  const ask = (text) => setQuery({ q: text.trim() });
  /** @param {AnyEvent} event */
  const typed = (event) => {
    clearTimeout(timer.current);
    const text = event.target.value;
    timer.current = setTimeout(() => ask(text), TYPING_MS);
  };
  /** @param {AnyEvent} event */
  const send = (event) => {
    event.preventDefault();
    clearTimeout(timer.current);
    ask(String(new FormData(event.target).get('q')));
  };
  useEffect(() => () => clearTimeout(timer.current), []);
  return html`
    <div class="page">
      <div class="page-head"><div><h1>${t('search.title')}</h1><p class="muted">${t('search.why')}</p></div></div>
      <form role="search" class="search" onSubmit=${send}>
        <label class="hidden" for="search-words">${t('search.words')}</label>
        <input
          id="search-words"
          type="search"
          name="q"
          maxlength=${LONGEST}
          placeholder=${t('search.words')}
          defaultValue=${query}
          onInput=${typed}
        />
        <button class="primary" type="submit">${t('search.do')}</button>
      </form>
      ${query ? html`<${Hits} key=${query} words=${query} />` : null}
    </div>
  `;
}

/** @param {{ words: string }} props */
function Hits({ words }) {
  const { items, next, failure, busy, more, again } = usePages(
    (after, signal) => get('v1/transcriptions/search', { q: words, after, limit: 50 }, { signal }),
    [],
    (/** @type {Hit} */ hit) => `${hit.transcription_id} ${hit.number}`,
  );
  if (!items) return failure ? html`<${Failure} error=${failure} again=${again} />` : html`<${Loading} />`;
  if (!items.length) return html`<${Empty} icon="search" title=${t('search.none')}>${t('search.none_why')}<//>`;
  return html`
    <p class="hidden" role="status">${t('search.found', { n: items.length })}</p>
    ${grouped(items).map((group) => html`<${Group} key=${group[0].transcription_id + group[0].number} hits=${group} />`)}
    ${failure && html`<${Failure} error=${failure} again=${again} />`}
    <${More} next=${next} busy=${busy} more=${more} />
  `;
}

// Hits of one transcript are already adjacent.
/** @param {Hit[]} hits */
function grouped(hits) {
  /** @type {Hit[][]} */
  const groups = [];
  for (const hit of hits) {
    const last = groups.at(-1);
    if (last?.[0].transcription_id === hit.transcription_id) last.push(hit);
    else groups.push([hit]);
  }
  return groups;
}

/** @param {{ hits: Hit[] }} props */
function Group({ hits }) {
  const [{ transcription_id: id, name, created_at: createdAt }] = hits;
  return html`
    <section class="card hits">
      <h2 class="hits-head">
        <a class="job-name" href=${link('t', id)}><span>${name ?? id}</span></a>
        <time class="hint" datetime=${createdAt}>${moment(createdAt)}</time>
      </h2>
      <ul>
        ${hits.map(
          (hit) => html`
            <li key=${hit.number}>
              <a class="hit" href="${link('t', id)}?at=${hit.start_ms}">
                <span class="hit-time">${clock(hit.start_ms)}</span>
                <span><${Marked} hit=${hit} /></span>
              </a>
            </li>
          `,
        )}
      </ul>
    </section>
  `;
}

// The API counts letters, JavaScript counts halves of some of them.
/** @param {{ hit: Hit }} props */
function Marked({ hit }) {
  const letters = Array.from(hit.text);
  const start = letters.length > 3 * AROUND ? Math.max(0, (hit.matches[0]?.[0] ?? 0) - AROUND) : 0;
  const end = Math.min(letters.length, start + 3 * AROUND);
  const parts = [];
  let at = start;
  for (const [from, to] of hit.matches) {
    if (from < at || to > end) continue;
    parts.push(letters.slice(at, from).join(''), html`<mark>${letters.slice(from, to).join('')}</mark>`);
    at = to;
  }
  parts.push(letters.slice(at, end).join(''));
  return html`${start > 0 && '…'}${parts}${end < letters.length && '…'}`;
}
