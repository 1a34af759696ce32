// @ts-check
// One sentence of the transcript: its time, its words, and what can be done with it.
import { html, useComputed } from '../lib.js';
import { clock } from '../format.js';
import { t } from '../i18n.js';
import { IconButton } from '../ui/icon_button.js';
import { Editor } from './editing/editor.js';
import { merge } from './editing/structure.js';
import { matchesIn } from './matches.js';
import { cutByMatches, piecesOf } from './pieces.js';
import { colourOf, nameOfSpeaker } from './speakers.js';

/** @param {{ number: number, item: Sentence, count: number, current: boolean, view: Model }} props */
export function Sentence({ number, item, count, current, view }) {
  const editing = view.editing.value === number;
  const corrected = item.edit?.text != null;
  const channel = view.channels.value > 1 ? (item.channel % 4) + 1 : 0;
  const speakers = view.text.speakers.value;
  const speaker = item.speaker ?? 0;
  const before = view.text.sentences[number - 1]?.speaker ?? 0;
  const tab = current ? 0 : -1;
  const draft = useComputed(() => Boolean(view.drafts.all.value[item.number])).value;
  return html`
    <article
      class=${`sentence${speaker ? ` ${colourOf(speaker)}` : channel ? ` channel-${channel}` : ''}${corrected ? ' corrected' : ''}`}
      data-row=${number}
      tabindex=${tab}
      aria-posinset=${number + 1}
      aria-setsize=${count}
      aria-labelledby=${`when-${number} said-${number}`}
      onKeyDown=${(/** @type {AnyEvent} */ event) => onKey(event, view, number)}
    >
      <button class="quiet small when" id=${`when-${number}`} tabindex=${tab} title=${t('sentence.play')}
        onClick=${() => view.playFrom(item.start_ms)}>
        ${channel ? html`<span class="hidden">${t('sentence.channel', { channel: item.channel + 1 })} </span>` : null}
        ${clock(item.start_ms)}
      </button>
      <div class="said">
        ${speaker > 0 && speaker !== before && html`<span class="speaker-name">${nameOfSpeaker(speakers, speaker)}</span>`}
        ${
          editing
            ? html`<${Editor} key=${`${item.number}-${item.words.length}`} view=${view} number=${number} item=${item} />`
            : html`<${Words} view=${view} number=${number} item=${item} text=${item.text} id=${`said-${number}`} />`
        }
        ${!editing && draft && html`<span class="pill wait draft">${t('edit.draft')}</span>`}
        ${corrected && view.showOriginal.value && html`<${Heard} view=${view} number=${number} item=${item} />`}
      </div>
      ${!editing && html`<${Acts} view=${view} number=${number} item=${item} count=${count} tab=${tab} />`}
    </article>
  `;
}

// Words can be clicked; what a person wrote is one piece, and plays from the sentence's start.
/** @param {{ view: Model, number: number, item: Sentence, text: string, id: string, quiet: boolean }} props */
function Words({ view, number, item, text, id, quiet }) {
  const query = quiet ? '' : view.finder.query.value;
  const low = view.low.value;
  const matches = query ? matchesIn(text, query, view.finder.exact.value) : [];
  const here = view.finder.current.value;
  const chosen = here?.number === number ? here.match : -1;
  /** @param {AnyEvent} event */
  const play = (event) => {
    if (getSelection()?.toString()) return; // the user selects text to copy it
    const word = event.target.closest('[data-word]');
    view.playFrom(word ? item.words[Number(word.dataset.word)].start_ms : item.start_ms);
  };
  return html`
    <p class="words" id=${id} onClick=${play}>
      ${piecesOf(text, item.words).map((piece) => {
        const parts = matches.length ? marked(piece, matches, chosen) : piece.text;
        if (piece.word < 0) return html`<span>${parts}</span>`;
        const unsure = item.words[piece.word].confidence < low;
        return html`<span data-word=${piece.word} class=${unsure ? 'unsure' : null}>${parts}</span>`;
      })}
    </p>
  `;
}

/**
 * @param {Piece} piece
 * @param {number[][]} matches
 * @param {number} chosen
 */
function marked(piece, matches, chosen) {
  return cutByMatches(piece, matches).map((part) =>
    part.match < 0 ? part.text : html`<mark class=${part.match === chosen ? 'chosen' : null}>${part.text}</mark>`,
  );
}

// What the machine heard, under what a person wrote: its words have the times.
/** @param {{ view: Model, number: number, item: Sentence }} props */
function Heard({ view, number, item }) {
  return html`
    <div class="heard">
      <span class="heard-label">${t('sentence.original')}</span>
      <${Words} view=${view} number=${number} item=${item} text=${item.edit?.machine_text} quiet />
    </div>
  `;
}

/** @param {{ view: Model, number: number, item: Sentence, count: number, tab: number }} props */
function Acts({ view, number, item, count, tab }) {
  return html`
    <div class="acts">
      <${IconButton} icon="copy" words=${t('sentence.copy')} tab=${tab} act=${() => view.copy(item.text)} />
      ${
        view.mayEdit &&
        item.edit?.text != null &&
        html`<${IconButton} icon="undo" words=${t('sentence.undo')} tab=${tab} act=${() => view.restore(number)} />`
      }
      ${
        view.mayEdit &&
        view.text.loaded.value &&
        number + 1 < count &&
        html`<${IconButton} icon="merge" words=${t('sentence.merge')} tab=${tab} act=${() => merge(view, number)} />`
      }
      ${
        view.mayEdit &&
        html`<${IconButton} icon="edit" words=${t('sentence.edit')} tab=${tab} kind="edit" act=${() => view.edit(number)} />`
      }
    </div>
  `;
}

// With the focus on the sentence itself.
/**
 * @param {AnyEvent} event
 * @param {Model} view
 * @param {number} number
 */
function onKey(event, view, number) {
  if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === 'Enter') view.playFrom(view.text.sentences[number].start_ms);
  else if (event.key === 'e' && view.mayEdit) view.edit(number);
  else return;
  event.preventDefault();
  event.stopPropagation();
}
