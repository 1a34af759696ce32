// @ts-check
// Links, one per line. What is refused stays in the field, with the reason.
import { html, useState } from '../lib.js';
import { explained, onceKey, post } from '../api.js';
import { t } from '../i18n.js';
import { may } from '../session.js';
import { announce } from '../ui/announce.js';
import { Failure } from '../ui/states.js';
import { mine } from './mine.js';
import { chosenOptions } from './options.js';

const MOST = 100;

export function Links() {
  const [text, setText] = useState('');
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState(/** @type {unknown} */ (null));
  const [refused, setRefused] = useState(/** @type {{ url: string, error: Explainable }[]} */ ([]));
  const links = linesOf(text);

  /** @param {AnyEvent} event */
  const send = async (event) => {
    event.preventDefault();
    if (!links.length || busy) return;
    setBusy(true);
    setFailure(null);
    setRefused([]);
    try {
      const left = await submitted(links.slice(0, MOST));
      setRefused(left);
      setText([...left.map((/** @type {any} */ item) => item.url), ...links.slice(MOST)].join('\n'));
    } catch (error) {
      setFailure(error);
    }
    setBusy(false);
  };

  return html`
    <form class="stack" onSubmit=${send}>
      <label class="field">
        <span class="label">${t('links.label')}</span>
        <textarea
          value=${text}
          spellcheck="false"
          placeholder="https://example.com/meeting.mp3"
          aria-describedby="links-hint"
          onInput=${(/** @type {AnyEvent} */ event) => setText(event.target.value)}
        />
      </label>
      <p class="hint" id="links-hint">${t('links.hint')}</p>
      ${failure && html`<${Failure} error=${failure} />`}
      ${refused.map(
        (item) =>
          html`<${Failure} key=${item.url} error=${{ message: `${item.url}: ${item.error.message || explained(item.error).what}` }} />`,
      )}
      <div class="row">
        <button class="primary" type="submit" disabled=${busy || !links.length}>
          ${links.length > 1 ? t('links.send_several', { n: links.length }) : t('links.send')}
        </button>
      </div>
    </form>
  `;
}

// One link per line: an address may hold spaces.
/** @param {string} text */
function linesOf(text) {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
}

// Answers those that were refused: [{ url, error }].
/** @param {string[]} links */
async function submitted(links) {
  // The same key for a repeat of this call, another one for the next click.
  const headers = { 'Idempotency-Key': onceKey() };
  if (links.length === 1) {
    mine.add(await post('v1/transcriptions', { audio_url: links[0], ...chosenOptions() }, { headers, again: true }));
    if (!may('read')) announce(t('upload.sent', { name: links[0] }));
    return [];
  }
  const batch = await post('v1/batches', { audio_urls: links, ...chosenOptions() }, { headers, again: true });
  const accepted = batch.items.filter((/** @type {any} */ item) => item.id);
  for (const item of accepted) mine.add({ id: item.id }, batch.id);
  return batch.items
    .filter((/** @type {any} */ item) => item.error)
    .map((/** @type {any} */ item) => ({ url: links[item.index], error: item.error }));
}
