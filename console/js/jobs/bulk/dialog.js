// @ts-check
// A question before something is done with many jobs; then how far it is, and each job with which it failed.
import { html, useEffect, useRef, useState } from '../../lib.js';
import { explained } from '../../api.js';
import { t } from '../../i18n.js';
import { announce } from '../../ui/announce.js';
import { Dialog } from '../../ui/dialog.js';
import { each } from './each.js';
import { nameOf } from '../name.js';

/** @typedef {import('./each.js').BulkFailure} BulkFailure */
// `act` gets a job and the filled-in form; `onDone` the ids of the jobs with which it went well.
/** @typedef {{ act: (job: Job, form: FormData) => Promise<unknown>, onDone: (ids: string[]) => void, close: () => void }} Doing */
/** @param {{ title: string, doing: string, danger?: boolean, jobs: Job[], children: Children } & Doing} props */
export function BulkDialog({ title, doing, danger = false, jobs, act, onDone, close, children }) {
  // Those that were selected when it began; rows that are done may leave the list.
  const [all] = useState(jobs);
  const [over, setOver] = useState(/** @type {number | null} */ (null));
  const [failures, setFailures] = useState(/** @type {BulkFailure[]} */ ([]));
  const stop = useRef(new AbortController());
  const shown = useRef(true);
  useEffect(
    () => () => {
      shown.current = false;
    },
    [],
  );
  /** @param {AnyEvent} event */
  const go = async (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    setOver(0);
    const result = await each(all, (job) => act(job, form), setOver, stop.current.signal);
    onDone(result.done.map((job) => job.id));
    const left = all.length - result.done.length - result.failures.length;
    if (left) announce(t('bulk.stopped', { done: result.done.length, n: all.length }));
    else if (!result.failures.length) announce(t('bulk.done', { n: all.length }));
    if (!result.failures.length) close();
    else if (shown.current) setFailures(result.failures);
    else announce(result.failures.map(told).join(' '), { failed: true });
  };
  if (failures.length > 0) {
    const words = t('bulk.failed', { n: failures.length, of: all.length });
    return html`<${Failures} title=${words} failures=${failures} close=${close} />`;
  }
  const underWay = over !== null;
  // Before it begins, nothing happens; later, what has not been begun is left as it is.
  const leave = () => (underWay ? stop.current.abort() : close());
  return html`
    <${Dialog} title=${title} close=${leave}>
      <form class="stack" onSubmit=${go}>
        ${children}
        ${underWay && html`<progress class="progress" max=${all.length} value=${over} aria-label=${title} />`}
        <div class="dialog-foot">
          <button type="button" autofocus=${danger} onClick=${leave}>${t(underWay ? 'bulk.stop' : 'dialog.cancel')}</button>
          <button class=${danger ? 'danger' : 'primary'} type="submit" disabled=${underWay}>${doing}</button>
        </div>
      </form>
    <//>
  `;
}

/** @param {BulkFailure} failure */
function told({ job, error }) {
  const { what, advice } = explained(error instanceof Error ? error : { message: String(error) });
  return t('bulk.failure', { name: nameOf(job), why: advice ? `${what} ${advice}` : what });
}

/** @param {{ title: string, failures: BulkFailure[], close: () => void }} props */
export function Failures({ title, failures, close }) {
  return html`
    <${Dialog} title=${title} close=${close}>
      <ul class="bulk-failures" role="alert">
        ${failures.map((failure) => html`<li key=${failure.job.id}>${told(failure)}</li>`)}
      </ul>
      <div class="dialog-foot"><button class="primary" autofocus onClick=${close}>${t('dialog.close')}</button></div>
    <//>
  `;
}
