// @ts-check
// A question before something is done with many jobs; then how far it is, and each job with which it failed.
import { html, useEffect, useRef, useState } from '../../lib.js';
import { explained } from '../../api.js';
import { t } from '../../i18n.js';
import { announce } from '../../ui/announce.js';
import { Dialog } from '../../ui/dialog.js';
import { each } from './each.js';
import { nameOf } from '../name.js';

// `act` gets a job and the filled-in form; `onDone` the ids of the jobs with which it went well.
/** @typedef {{ act: (job: Job, form: FormData) => Promise<unknown>, onDone: (ids: string[]) => void, close: () => void }} Doing */
/** @param {{ title: string, doing: string, danger?: boolean, jobs: Job[], children: Children } & Doing} props */
export function BulkDialog({ title, doing, danger = false, jobs, act, onDone, close, children }) {
  // Those that were selected when it began; rows that are done may leave the list.
  const [all] = useState(jobs);
  const [done, setDone] = useState(/** @type {number | null} */ (null));
  const [failures, setFailures] = useState(/** @type {import('./each.js').BulkFailure[]} */ ([]));
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
    setDone(0);
    const failed = await each(all, (job) => act(job, form), setDone);
    onDone(all.filter((job) => !failed.some((failure) => failure.job === job)).map((job) => job.id));
    if (failed.length === 0) {
      announce(t('bulk.done', { n: all.length }));
      close();
    } else if (shown.current) setFailures(failed);
    else announce(failed.map(told).join(' '), { failed: true });
  };
  if (failures.length > 0) return html`<${Failed} failures=${failures} of=${all.length} close=${close} />`;
  return html`
    <${Dialog} title=${title} close=${close}>
      <form class="stack" onSubmit=${go}>
        ${children}
        ${done !== null && html`<progress class="progress" max=${all.length} value=${done} aria-label=${title} />`}
        <div class="dialog-foot">
          <button type="button" autofocus=${danger} onClick=${close}>${t('dialog.cancel')}</button>
          <button class=${danger ? 'danger' : 'primary'} type="submit" disabled=${done !== null}>${doing}</button>
        </div>
      </form>
    <//>
  `;
}

/** @param {import('./each.js').BulkFailure} failure */
function told({ job, error }) {
  const { what, advice } = explained(error instanceof Error ? error : { message: String(error) });
  return t('bulk.failure', { name: nameOf(job), why: advice ? `${what} ${advice}` : what });
}

/** @param {{ failures: import('./each.js').BulkFailure[], of: number, close: () => void }} props */
function Failed({ failures, of, close }) {
  return html`
    <${Dialog} title=${t('bulk.failed', { n: failures.length, of })} close=${close}>
      <ul class="bulk-failures" role="alert">
        ${failures.map((failure) => html`<li key=${failure.job.id}>${told(failure)}</li>`)}
      </ul>
      <div class="dialog-foot"><button class="primary" autofocus onClick=${close}>${t('dialog.close')}</button></div>
    <//>
  `;
}
