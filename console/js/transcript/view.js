// @ts-check
// The transcript of one job beside its recording.
import { html, useEffect, useMemo, useState } from '../lib.js';
import { t } from '../i18n.js';
import { Findings } from '../jobs/findings.js';
import { isOver } from '../jobs/live.js';
import { nameOf } from '../jobs/name.js';
import { useJob } from '../jobs/use_job.js';
import { Icon } from '../ui/icon.js';
import { DemoNotice } from '../shell/demo.js';
import { report } from '../ui/announce.js';
import { Copy } from '../ui/copy.js';
import { Failure, Loading } from '../ui/states.js';
import { useTitle } from '../ui/title.js';
import { SummaryPanel } from '../summaries/panel.js';
import { FindBar } from './finder.js';
import { Head } from './head.js';
import { KeysDialog, useKeys } from './keys.js';
import { LongList } from '../list/list.js';
import { guessHeight } from './guess.js';
import { Model } from './model.js';
import { PlayerBar } from '../player/bar.js';
import { Back, usePlayer } from './playing.js';
import { Sentence } from './sentence.js';
import { Speakers } from './speakers.js';
import { Growing, NoText } from './progress.js';
import { Tools } from './tools.js';

/** @param {{ id: string }} props */
export function Transcript({ id }) {
  const entry = useJob(id);
  const job = entry.job.value;
  useTitle(job ? nameOf(job) : t('transcript.title'));
  if (entry.gone.value) return html`<${Missing} error=${entry.gone.value} />`;
  if (!job) return html`<${Loading} />`;
  // A retry is another run with another text: start again.
  return html`<${Run} key=${job.run} entry=${entry} job=${job} />`;
}

/** @param {{ error: Problem }} props */
function Missing({ error }) {
  return html`
    <div class="page">
      <a class="back" href="#/jobs"><${Icon} name="back" />${t('nav.jobs')}</a>
      <h1>${t('transcript.missing')}</h1>
      <${Failure} error=${error} />
    </div>
  `;
}

/** @param {{ entry: Entry, job: Job }} props */
function Run({ entry, job }) {
  const view = useMemo(() => new Model(entry.id), []);
  const { failure, read } = useText(view, entry, job);
  const [help, setHelp] = useState(false);
  // The recording is there as soon as the job has fetched it; it stays the same when the job ends.
  usePlayer(view, job.source.bytes !== null || job.status === 'completed');
  useKeys(view, () => setHelp(true));
  view.text.version.value; // drawn again when the text changes
  const { sentences } = view.text;
  /** @type {(row: number, width: number) => number} */
  const guess = (row, width) => guessHeight(sentences[row], width);
  const waits = !failure && !sentences.length && !view.text.loaded.value && job.status === 'completed';
  return html`
    <div class="page transcript">
      <${Head} job=${job} />
      <${DemoNotice} model=${job.result?.model ?? job.model} />
      ${job.error && html`<${Failure} error=${job.error} />`}
      ${!isOver(job) && html`<${Growing} job=${job} />`}
      <${Findings} job=${job} card />
      ${job.status === 'completed' && html`<${SummaryPanel} job=${job} />`}
      <div class="stage" data-roof>
        ${(sentences.length > 0 || job.status === 'completed') && html`<${PlayerBar} player=${view.player} onHelp=${() => setHelp(true)} />`}
        ${view.finder.open.value && html`<${FindBar} view=${view} />`}
      </div>
      ${failure && html`<${Failure} error=${failure} again=${read} />`}
      ${waits && html`<${Loading} />`}
      ${
        sentences.length
          ? html`<${Tools} view=${view} job=${job} />
            <${Speakers} view=${view} />
            <${Unsaved} view=${view} />
            <${LongList} scroller=${view.scroller} items=${sentences} guess=${guess}
              Row=${Sentence} label=${t('transcript.sentences')} busy=${!isOver(job)} view=${view} />
            <${Back} view=${view} />`
          : !waits && !failure && html`<${NoText} job=${job} />`
      }
      ${help && html`<${KeysDialog} close=${() => setHelp(false)} mayEdit=${view.mayEdit} />`}
    </div>
  `;
}

// While the job runs, the event stream tells its sentences; then they are read, with what people corrected.
/**
 * @param {Model} view
 * @param {Entry} entry
 * @param {Job} job
 */
function useText(view, entry, job) {
  const [failure, setFailure] = useState(/** @type {unknown} */ (null));
  const received = entry.sentences.value;
  const over = isOver(job);
  const read = () => {
    setFailure(null);
    view.text.load().then(
      () => view.start(),
      (error) => view.text.abort.signal.aborted || setFailure(error),
    );
  };
  useEffect(() => {
    if (!over && received.length) view.text.grow(received);
  }, [received, over]);
  useEffect(() => {
    if (job.status === 'completed' && job.speakers) view.text.loadSpeakers().catch(report);
    if (over) read();
  }, [over]);
  return { failure, read };
}

// What was typed here before, and did not reach the service.
/** @param {{ view: Model }} props */
function Unsaved({ view }) {
  const places = view.drafts.numbers.map((number) => view.text.placeOf(number));
  const numbers = places.filter((number) => number >= 0 && number !== view.editing.value).sort((a, b) => a - b);
  if (!view.mayEdit) return null;
  return html`
    ${
      numbers.length > 0 &&
      html`<div class="notice row" role="status">
        <span>${t('edit.unsaved', { n: numbers.length })}</span>
        <button class="small" onClick=${() => view.edit(numbers[0])}>${t('edit.unsaved_open')}</button>
        <button class="quiet small" onClick=${() => view.drafts.drop(...places.flatMap((place) => (place < 0 ? [] : [view.text.idOf(place)])))}>
          ${t('edit.unsaved_discard')}
        </button>
      </div>`
    }
    ${view.text.loaded.value && html`<${Homeless} view=${view} />`}
  `;
}

// What was typed into sentences that somebody has merged with others since.
/** @param {{ view: Model }} props */
function Homeless({ view }) {
  const gone = view.drafts.numbers.filter((number) => view.text.placeOf(number) < 0);
  return gone.map((number) => {
    const draft = view.drafts.of(number)?.text ?? '';
    return html`
      <div key=${number} class="notice row" role="status">
        <span>${t('edit.unsaved_gone', { text: draft })}</span>
        <${Copy} text=${draft} />
        <button class="quiet small" onClick=${() => view.drafts.drop(number)}>${t('edit.unsaved_discard_one')}</button>
      </div>
    `;
  });
}
