// @ts-check
// Uploads by tus, which resume after an interruption, also after a reload once the file is chosen again. They continue
// while other pages are open.
import '../../vendor/tus.js'; // makes globalThis.tus
import { signal } from '../lib.js';
import { BASE, Problem, caller, connection, csrf, onceKey, post } from '../api.js';
import { t } from '../i18n.js';
import { may } from '../session.js';
import { announce } from '../ui/announce.js';
import { chosenOptions } from './options.js';
import { mine } from './mine.js';

const { tus } = globalThis;
const AT_ONCE = 2; // a browser opens six connections to a server, and event streams need theirs
const ENDPOINT = new URL('v1/uploads', BASE).href;
const RATE_WEIGHT = 0.3;
// Until the connection is back, however long that takes.
const RETRY_MS = [500, 1000, 2000, 4000, ...Array(5000).fill(8000)];

// Each: { key, name, size, sent, rate, state, problem }; state is one of waiting, uploading, submitting, failed.
/** @type {Signal<Upload[]>} */
export const uploads = signal([]);
// What a reload interrupted: { name, size, urlStorageKey }.
/** @type {Signal<InterruptedUpload[]>} */
export const interrupted = signal([]);
// key → internal state: the file, its fingerprint and options, the tus upload, and the upload that it resumes.
const held = new Map();
let count = 0;

/** @param {File[]} files */
export function add(files) {
  const group = files.length > 1 ? onceKey() : undefined;
  for (const file of files) {
    const mark = fingerprint(file, { endpoint: ENDPOINT });
    if ([...held.values()].some((one) => one.mark === mark)) continue; // on its way already
    count += 1;
    held.set(count, { file, mark, group, options: chosenOptions(), tus: null, resumed: null });
    /** @type {Upload} */
    const shown = {
      key: count,
      group,
      name: file.name,
      size: file.size,
      sent: 0,
      rate: null,
      state: 'waiting',
      problem: null,
    };
    uploads.value = [...uploads.value, shown];
  }
  advance();
}

/** @param {number} key */
export async function cancel(key) {
  const upload = held.get(key)?.tus;
  drop(key);
  advance();
  try {
    await upload?.abort(true);
  } catch {
    // What it left on the server is deleted there when its time ends.
  }
  await findInterrupted();
}

/** @param {number} key */
export function again(key) {
  set(key, { state: 'waiting', problem: null });
  advance();
}

/** @param {string} key */
export async function forget(key) {
  await tus.defaultOptions.urlStorage.removeUpload(key);
  await findInterrupted();
}

export async function findInterrupted() {
  const known = new Set([...held.values()].flatMap((one) => [one.tus?.url, one.resumed]).filter(Boolean));
  const previous = await tus.defaultOptions.urlStorage.findAllUploads();
  interrupted.value = previous
    .filter((one) => !known.has(one.uploadUrl))
    .map(({ metadata, size, urlStorageKey }) => ({ name: metadata?.filename ?? '', size, urlStorageKey }));
}

/**
 * @param {number} key
 * @param {Partial<Upload>} values
 */
function set(key, values) {
  uploads.value = uploads.value.map((upload) => (upload.key === key ? { ...upload, ...values } : upload));
}

/** @param {number} key */
function drop(key) {
  held.delete(key);
  uploads.value = uploads.value.filter((upload) => upload.key !== key);
}

function advance() {
  const busy = uploads.value.filter((upload) => upload.state === 'uploading').length;
  const waiting = uploads.value.filter((upload) => upload.state === 'waiting');
  for (const { key } of waiting.slice(0, Math.max(0, AT_ONCE - busy))) {
    set(key, { state: 'uploading' });
    begin(key).catch((error) => failed(key, error));
  }
}

// Two files of a folder may have one name; the same file, chosen again after a reload, has the same mark.
/**
 * @param {File} file
 * @param {{ endpoint?: string | null }} options
 */
function fingerprint(file, { endpoint }) {
  return ['paraqueue', file.webkitRelativePath || file.name, file.size, file.lastModified, endpoint].join('|');
}

/** @param {number} key */
async function begin(key) {
  const one = held.get(key);
  one.tus = new tus.Upload(one.file, {
    endpoint: ENDPOINT,
    httpStack: HERE,
    fingerprint: async (file, options) => fingerprint(file, options),
    metadata: { filename: one.file.name },
    retryDelays: RETRY_MS,
    onBeforeRequest: (request) => request.setHeader('X-CSRF-Token', csrf()),
    onShouldRetry: (error) => mayRetry(error.originalResponse?.getStatus() ?? 0),
    onProgress: speedometer(key),
    onError: (error) => failed(key, error),
    onSuccess: () => submit(key).catch((error) => failed(key, error)),
  });
  const [previous] = await one.tus.findPreviousUploads();
  if (previous) {
    one.resumed = previous.uploadUrl;
    one.tus.resumeFromPreviousUpload(previous);
    await findInterrupted(); // it is not, any more
  }
  if (held.get(key) === one) one.tus.start();
}

/** @param {number} status */
function mayRetry(status) {
  if (status === 0) connection.value = 'lost';
  return status === 0 || status === 409 || status === 423 || status >= 500;
}

// The API may name itself by another host than the page was loaded from; the page's policy knows only that one.
const HERE = {
  createRequest(/** @type {string} */ method, /** @type {string} */ url) {
    const { pathname, search } = new URL(url, BASE);
    const path = pathname.slice(pathname.indexOf('/v1/') + 1);
    return tus.defaultOptions.httpStack.createRequest(method, new URL(path + search, BASE).href);
  },
  getName: () => 'here',
};

// Bytes per second, smoothed, from where this connection began.
/** @param {number} key */
function speedometer(key) {
  /** @type {{ sent: number, at: number } | null} */
  let last = null;
  /** @type {number | null} */
  let rate = null;
  return (/** @type {number} */ sent) => {
    connection.value = 'ok';
    const now = performance.now();
    if (last && sent > last.sent && now - last.at > 200) {
      const current = ((sent - last.sent) * 1000) / (now - last.at);
      rate = rate === null ? current : rate + RATE_WEIGHT * (current - rate);
      last = { sent, at: now };
    } else if (!last || sent < last.sent) {
      last = { sent, at: now };
    }
    set(key, { sent, rate });
  };
}

// An upload becomes one transcription, however often this is sent.
/** @param {number} key */
async function submit(key) {
  const one = held.get(key);
  if (!one) return;
  set(key, { state: 'submitting' });
  const id = one.tus.url.slice(one.tus.url.lastIndexOf('/') + 1);
  const headers = { 'Idempotency-Key': `console-${id}` };
  const job = await post('v1/transcriptions', { upload_id: id, ...one.options }, { headers, again: true });
  drop(key);
  mine.add(job, one.group);
  if (!may('read')) announce(t('upload.sent', { name: one.file.name })); // without the scope `read`, no page shows it
  for (const stored of await one.tus.findPreviousUploads()) {
    await tus.defaultOptions.urlStorage.removeUpload(stored.urlStorageKey);
  }
  await findInterrupted();
  advance();
}

/**
 * @param {number} key
 * @param {any} error
 */
function failed(key, error) {
  const problem = problemOf(error);
  if (problem.status === 401) caller.value = null; // the session is over
  set(key, { state: 'failed', problem });
  advance();
}

// tus-js-client's errors hold the answer of the API.
/** @param {any} error */
function problemOf(error) {
  const answer = error.originalResponse;
  if (!answer) return error instanceof Problem ? error : new Problem({ detail: error.message });
  try {
    const body = JSON.parse(answer.getBody());
    return new Problem({ ...body, status: answer.getStatus(), requestId: body.request_id });
  } catch {
    return new Problem({ status: answer.getStatus(), detail: error.message });
  }
}

addEventListener('beforeunload', (event) => {
  if (uploads.value.some((upload) => upload.state !== 'failed')) event.preventDefault();
});
