// @ts-check
// The page of a share link, for people who are not signed in: a transcript to read, to hear if it is shared with its
// recording, and to download.
import { html, useEffect, useMemo, useState } from '../lib.js';
import { Problem } from '../api.js';
import { clock, moment } from '../format.js';
import { t } from '../i18n.js';
import { Findings } from '../jobs/findings.js';
import { LongList } from '../list/list.js';
import { PlayerBar } from '../player/bar.js';
import { FindBar } from '../transcript/finder.js';
import { guessHeight } from '../transcript/guess.js';
import { KeysDialog, useKeys } from '../transcript/keys.js';
import { Back, usePlayer } from '../transcript/playing.js';
import { Sentence } from '../transcript/sentence.js';
import { Speakers } from '../transcript/speakers.js';
import { DownloadGroup, FindAndCopy, stemOf } from '../transcript/tools.js';
import { report } from '../ui/announce.js';
import { useLoad } from '../ui/load.js';
import { save } from '../ui/save.js';
import { Empty, Failure, Loading } from '../ui/states.js';
import { useTitle } from '../ui/title.js';
import { FORMS, fileOf, opened, visitOf } from './visit.js';

/** @param {unknown} error */
const isOver = (error) => error instanceof Problem && [401, 404].includes(error.status);

/** @param {{ token: string }} props */
export function SharedTranscript({ token }) {
  const { data, failure, load } = useLoad((abort) => opened(token, abort), []);
  const [over, setOver] = useState(false);
  useTitle(data && !over ? (data.name ?? t('transcript.title')) : t('shared.title'));
  if (over || isOver(failure)) return html`<${Over} />`;
  if (failure) return html`<div class="page"><${Failure} error=${failure} again=${load} /></div>`;
  if (!data) return html`<${Loading} />`;
  /** @param {unknown} error */
  const failed = (error) => (isOver(error) ? setOver(true) : report(error));
  return html`<${Reading} shared=${data} token=${token} failed=${failed} />`;
}

function Over() {
  return html`
    <div class="page">
      <h1>${t('shared.over')}</h1>
      <${Empty} icon="link" title=${t('shared.over_why')}>${t('shared.over_do')}<//>
    </div>
  `;
}

/** @param {{ shared: Shared, token: string, failed: (error: unknown) => void }} props */
function Reading({ shared, token, failed }) {
  const view = useMemo(() => visitOf(shared, token), []);
  const [help, setHelp] = useState(false);
  const { failure, read } = useText(view, failed);
  usePlayer(view, shared.audio);
  useKeys(view, () => setHelp(true));
  view.text.version.value; // drawn again when the text changes
  const { sentences } = view.text;
  /** @type {(row: number, width: number) => number} */
  const guess = (row, width) => guessHeight(sentences[row], width);
  return html`
    <div class="page transcript shared">
      <${Head} shared=${shared} />
      <${Findings} job=${{ warnings: shared.warnings }} card />
      <div class="stage" data-roof>
        ${shared.audio && html`<${PlayerBar} player=${view.player} onHelp=${() => setHelp(true)} />`}
        ${view.finder.open.value && html`<${FindBar} view=${view} />`}
      </div>
      ${failure && html`<${Failure} error=${failure} again=${read} />`}
      ${!sentences.length && !view.text.loaded.value && !failure && html`<${Loading} />`}
      ${!sentences.length && view.text.loaded.value && html`<${Empty} icon="speaker" title=${t('transcript.empty')} />`}
      ${
        sentences.length > 0 &&
        html`<${Tools} view=${view} shared=${shared} token=${token} failed=${failed} />
          <${Speakers} view=${view} />
          <${LongList} scroller=${view.scroller} items=${sentences} guess=${guess}
            Row=${Sentence} label=${t('transcript.sentences')} busy=${false} view=${view} />
          <${Back} view=${view} />`
      }
      ${help && html`<${KeysDialog} close=${() => setHelp(false)} mayEdit=${false} />`}
    </div>
  `;
}

// Reads the text, again if that is asked for; `over` learns that the link no longer works.
/**
 * @param {Model} view
 * @param {(error: unknown) => void} over
 */
function useText(view, over) {
  const [failure, setFailure] = useState(/** @type {unknown} */ (null));
  const read = async () => {
    setFailure(null);
    try {
      await view.text.load();
      view.start();
    } catch (error) {
      if (view.text.abort.signal.aborted) return;
      if (isOver(error)) over(error);
      else setFailure(error);
    }
  };
  useEffect(() => {
    read();
  }, []);
  return { failure, read };
}

/** @param {{ shared: Shared }} props */
function Head({ shared }) {
  const facts = [
    t('transcript.length', { time: clock(shared.audio_ms) }),
    shared.channels > 1 && t('transcript.channels', { n: shared.channels }),
    t('shared.until', { time: moment(shared.expires_at) }),
  ].filter(Boolean);
  return html`
    <div class="transcript-head">
      <h1>${shared.name ?? t('transcript.title')}</h1>
      <p class="muted facts">${facts.join(' · ')}</p>
    </div>
  `;
}

/** @param {{ view: Model, shared: Shared, token: string, failed: (error: unknown) => void }} props */
function Tools({ view, shared, token, failed }) {
  const name = stemOf(shared.name ?? t('transcript.title'));
  /** @param {string} form */
  const download = async (form) => {
    try {
      save(await fileOf(token, form), `${name}.${form}`);
    } catch (error) {
      failed(error);
    }
  };
  return html`
    <div class="tools">
      <div class="row">
        <${FindAndCopy} view=${view} />
        <${DownloadGroup}>
          ${FORMS.map((form) => html`<button key=${form} class="small" onClick=${() => download(form)}>${form}</button>`)}
        <//>
      </div>
    </div>
  `;
}
