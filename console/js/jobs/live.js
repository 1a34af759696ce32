// @ts-check
// Jobs that are watched, kept up to date: by the event stream where there is one to spare, by asking elsewhere.
//
// A browser opens six connections to a server at most, for all its windows together; an event stream keeps one for as
// long as it lasts. So only STREAMS of the watched jobs have one, those that will change next.
import { signal } from '../lib.js';
import { BASE, Problem, caller, connection, get } from '../api.js';

const STREAMS = 2;
const ASK_EVERY_MS = 2500;
const HIDDEN_ASK_EVERY_MS = 15_000;
const PAGE = 100;
const TERMINAL = new Set(['completed', 'failed', 'canceled']);

/** @param {Job} job */
export const isOver = (job) => TERMINAL.has(job.status);

// Whether jobs are asked for while nobody looks at the page.
export const whileHidden = signal(false);

// By id: { job, sentences, gone: signals, users, stream }.
/** @type {Map<string, Entry>} */
const watched = new Map();
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

// Watches a job until `leave` is called. `known` is the job if it was read before.
/**
 * @param {string} id
 * @param {Job | null} [known]
 */
export function watch(id, known = null) {
  const entry = watched.get(id) ?? newEntry(id);
  watched.set(id, entry);
  if (known && !entry.job.value) entry.job.value = known;
  entry.users += 1;
  schedule(0);
  return { ...entry, leave: () => leave(entry) };
}

/**
 * @param {string} id
 * @returns {Entry}
 */
function newEntry(id) {
  return { id, job: signal(null), sentences: signal([]), gone: signal(null), users: 0, stream: null, run: 0 };
}

/** @param {Entry} entry */
function leave(entry) {
  entry.users -= 1;
  if (entry.users > 0) return;
  entry.stream?.close();
  watched.delete(entry.id);
}

// After something was asked of a job: what the API answered, and back to watching.
/** @param {Job} job */
export function changed(job) {
  const entry = watched.get(job.id);
  if (entry) entry.job.value = job;
  schedule(0);
}

/** @param {number} [ms] */
function schedule(ms = document.hidden ? HIDDEN_ASK_EVERY_MS : ASK_EVERY_MS) {
  clearTimeout(timer);
  timer = setTimeout(round, ms);
}

async function round() {
  /** @param {Entry} entry */
  const done = (entry) => entry.gone.value || (entry.job.value && isOver(entry.job.value));
  const open = [...watched.values()].filter((entry) => !done(entry));
  if (!open.length || !caller.value) return;
  if (!document.hidden || whileHidden.value) await ask(open.filter((entry) => !entry.stream || !entry.job.value));
  if (!document.hidden) {
    assignStreams(open.filter((entry) => entry.users && entry.job.value && !isOver(entry.job.value)));
  }
  schedule();
}

// To jobs that run, then to those that run next.
/** @param {Entry[]} open */
function assignStreams(open) {
  /** @param {Entry} entry */
  const soon = (entry) => {
    const job = entry.job.value;
    return job?.status === 'processing' ? 0 : Number.parseInt(String(job?.queue_position), 10) || PAGE * 100;
  };
  const chosen = [...open].sort((a, b) => soon(a) - soon(b)).slice(0, STREAMS);
  for (const entry of open) {
    if (!chosen.includes(entry)) stop(entry);
    else if (!entry.stream) follow(entry);
  }
}

/** @param {Entry} entry */
function stop(entry) {
  entry.stream?.close();
  entry.stream = null;
}

/** @param {Entry} entry */
function follow(entry) {
  const stream = new EventSource(new URL(`v1/transcriptions/${entry.id}/events`, BASE));
  entry.stream = stream;
  // A new stream sends all sentences again, and so does one after `speakers`; a reconnected one continues.
  let first = true;
  stream.addEventListener('transcription', (event) => {
    connection.value = 'ok';
    entry.job.value = { ...entry.job.value, ...JSON.parse(event.data) };
  });
  stream.addEventListener('sentences', (event) => {
    const data = JSON.parse(event.data);
    const before = data.run === entry.run && !first ? entry.sentences.value : [];
    entry.run = data.run;
    first = false;
    entry.sentences.value = [...before, ...data.sentences];
  });
  stream.addEventListener('speakers', () => {
    first = true;
  });
  stream.addEventListener('end', (event) => {
    stop(entry);
    if (JSON.parse(event.data).status === 'deleted') entry.gone.value = new Problem({ status: 404, code: 'not_found' });
  });
  stream.addEventListener('error', () => {
    // The browser reconnects unless the response was an error: then polling continues, and a later round
    // opens a new stream.
    if (stream.readyState === EventSource.CLOSED) stop(entry);
    probe();
  });
}

// A stream does not say why it broke: this finds out, and tells the shell, whether the API is away or the session over.
let probing = false;
async function probe() {
  if (probing) return;
  probing = true;
  try {
    await get('v1/session');
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
  } finally {
    probing = false;
  }
}

// One call for all that are on the first page of the list, one for each that is older.
/** @param {Entry[]} entries */
async function ask(entries) {
  if (!entries.length) return;
  try {
    const byId = new Map();
    if (entries.length > 1) {
      const page = await get('v1/transcriptions', { limit: PAGE });
      page.data.forEach((/** @type {Job} */ job) => byId.set(job.id, job));
    }
    for (const entry of entries) {
      entry.job.value = byId.get(entry.id) ?? (await one(entry)) ?? entry.job.value;
    }
  } catch (error) {
    // Repeated with the next round; what a person must know of it (a session that ended) the shell shows.
    if (!(error instanceof Problem)) throw error;
  }
}

/** @param {Entry} entry */
async function one(entry) {
  try {
    return await get(`v1/transcriptions/${entry.id}`);
  } catch (error) {
    if (error instanceof Problem && error.status === 404) {
      entry.gone.value = error;
      return null;
    }
    throw error;
  }
}

document.addEventListener('visibilitychange', () => {
  if (document.hidden) watched.forEach(stop);
  schedule(0);
});
