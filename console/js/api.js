// @ts-check
// Calls of the API. Errors become a Problem; while the API is away, calls that may be repeated wait until it is back.
import { signal } from './lib.js';
import { has, t } from './i18n.js';

// The page may be served under any path: the API is where the console's directory is.
export const BASE = new URL('../../../', import.meta.url);
const AWAY = new Set([502, 503, 504]);
const PAUSES_MS = [1000, 2000, 4000, 8000];
// A browser says nothing of a connection that hangs.
const TIMEOUT_MS = 60_000;

// 'ok', or 'lost' while calls are being repeated.
export const connection = signal('ok');
// The signed-in caller, as returned by GET /v1/session; null before the first answer.
export const caller = signal(/** @type {Caller | null} */ (null));

export class Problem extends Error {
  /** @param {{ status?: number, code?: string, detail?: string, requestId?: string | null, retryable?: boolean, after?: number | null }} fields */
  constructor({ status = 0, code = 'internal', detail = '', requestId = null, retryable = false, after = null }) {
    super(detail || code);
    this.status = status;
    this.code = code;
    this.detail = detail;
    this.requestId = requestId;
    this.retryable = retryable;
    this.after = after;
  }
}

// An error in words a person understands, and what to do about it. A job's `error` ({code, message}) will do too.
/** @param {Explainable} error */
export function explained(error) {
  const code = error.code && has(`error.${error.code}`) ? error.code : null;
  const detail = error.detail ?? error.message ?? '';
  return {
    what: code ? t(`error.${code}`) : detail || t('error.internal'),
    advice: code && has(`error.${code}.do`) ? t(`error.${code}.do`) : '',
    detail: code ? detail : '',
    requestId: error.requestId ?? null,
  };
}

export function csrf() {
  // Over HTTPS the name has the prefix that keeps other hosts from setting it.
  const cookie = document.cookie.split('; ').find((item) => /^(__Host-)?paraqueue_csrf=/.test(item));
  return cookie ? decodeURIComponent(cookie.slice(cookie.indexOf('=') + 1)) : '';
}

/**
 * @param {string} path
 * @param {Record<string, any>} [query]
 */
function addressOf(path, query) {
  const url = new URL(path.replace(/^\//, ''), BASE);
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== null && value !== undefined && value !== '') url.searchParams.set(name, value);
  }
  return url;
}

// Answers the JSON of a call (null where there is none). Raises Problem.
// `again`: the call may be repeated without harm, so it waits for an API that is away. GET always may.
/**
 * @param {string} method
 * @param {string} path
 * @param {CallOptions} [options]
 */
export async function call(method, path, { json, query, headers = {}, signal: abort, again = method === 'GET' } = {}) {
  const answer = await fetched(addressOf(path, query), { method, json, headers, abort, again });
  if (answer.status === 204) return null;
  const text = await answer.text();
  return text && answer.headers.get('Content-Type')?.includes('json') ? JSON.parse(text) : text;
}

// The answer itself, for texts and files. Raises Problem.
/**
 * @param {string | URL} url
 * @param {{ method?: string, json?: unknown, headers?: Record<string, string>, abort?: AbortSignal, again?: boolean, timeoutMs?: number }} [options]
 */
export async function fetched(
  url,
  { method = 'GET', json, headers = {}, abort, again = true, timeoutMs = TIMEOUT_MS } = {},
) {
  /** @type {Record<string, string>} */
  const sent = { ...headers };
  if (json !== undefined) sent['Content-Type'] = 'application/json';
  if (method !== 'GET') sent['X-CSRF-Token'] = csrf();
  const request = { method, headers: sent, body: json === undefined ? undefined : JSON.stringify(json) };
  for (let tries = 0; ; tries += 1) {
    const answer = await once(new URL(url, BASE), request, abort, again, timeoutMs);
    if (answer !== null) return checked(answer);
    connection.value = 'lost';
    await pause(PAUSES_MS[Math.min(tries, PAUSES_MS.length - 1)], abort);
  }
}

// One try; null where it should be repeated.
/**
 * @param {string | URL} url
 * @param {any} request
 * @param {AbortSignal | undefined} abort
 * @param {boolean} again
 * @param {number} timeoutMs
 */
async function once(url, request, abort, again, timeoutMs) {
  const timeout = AbortSignal.timeout(timeoutMs);
  try {
    const answer = await fetch(url, { ...request, signal: abort ? AbortSignal.any([abort, timeout]) : timeout });
    if (again && AWAY.has(answer.status)) return null;
    connection.value = 'ok';
    return answer;
  } catch (error) {
    if (abort?.aborted) throw error;
    if (again) return null;
    connection.value = 'lost';
    throw new Problem({ code: 'connection', retryable: true });
  }
}

/**
 * @param {number} ms
 * @param {AbortSignal | undefined} abort
 * @returns {Promise<void>}
 */
function pause(ms, abort) {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      clearTimeout(timer);
      reject(abort?.reason);
    };
    const done = () => {
      abort?.removeEventListener('abort', onAbort);
      resolve();
    };
    const timer = setTimeout(done, ms);
    abort?.addEventListener('abort', onAbort, { once: true });
    addEventListener('online', done, { once: true });
  });
}

/** @param {Response} answer */
async function checked(answer) {
  if (answer.ok) return answer;
  const problem = await problemOf(answer);
  // The session is over (or the key was revoked): the shell shows the sign-in page, and comes back here.
  if (answer.status === 401) caller.value = null;
  throw problem;
}

/** @param {Response} answer */
export async function problemOf(answer) {
  const body = await answer.json().catch(() => ({}));
  return new Problem({
    status: answer.status,
    code: body.code,
    detail: body.detail,
    retryable: body.retryable,
    requestId: body.request_id ?? answer.headers.get('X-Request-ID'),
    after: Number(answer.headers.get('Retry-After')) || null,
  });
}

// A key for a call that must be done once, however often it is sent. (randomUUID exists on https pages only.)
export function onceKey() {
  const random = crypto.getRandomValues(new Uint8Array(16));
  return `console-${Array.from(random, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}

/**
 * @param {string} path
 * @param {Record<string, any>} [query]
 * @param {CallOptions} [options]
 */
export const get = (path, query, options = {}) => call('GET', path, { query, ...options });
/**
 * @param {string} path
 * @param {unknown} [json]
 * @param {CallOptions} [options]
 */
export const post = (path, json, options = {}) => call('POST', path, { json, ...options });
/**
 * @param {string} path
 * @param {unknown} [json]
 * @param {CallOptions} [options]
 */
export const patch = (path, json, options = {}) => call('PATCH', path, { json, ...options });
/**
 * @param {string} path
 * @param {CallOptions} [options]
 */
export const remove = (path, options = {}) => call('DELETE', path, options);
