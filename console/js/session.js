// @ts-check
// Who uses the console: found out at start, changed by signing in and out.
import { signal } from './lib.js';
import { BASE, Problem, call, caller, get, problemOf } from './api.js';

// 'asking' until the first response, then 'known', signed in or not.
export const state = signal('asking');

/** @param {string} scope */
export const may = (scope) => caller.value?.scopes.includes(/** @type {any} */ (scope)) ?? false;

export async function find() {
  try {
    caller.value = await get('v1/session');
  } catch (error) {
    if (!(error instanceof Problem) || error.status !== 401) throw error;
    caller.value = null;
  }
  state.value = 'known';
}

// The key is sent once; afterwards a cookie that scripts cannot read replaces it.
/** @param {string} key */
export async function signIn(key) {
  let answer;
  try {
    answer = await fetch(new URL('v1/session', BASE), { method: 'POST', headers: { 'X-API-Key': key } });
  } catch {
    throw new Problem({ code: 'connection', retryable: true });
  }
  if (!answer.ok) throw await problemOf(answer);
  await find();
}

export async function signOut() {
  await call('DELETE', 'v1/session', { again: true });
  caller.value = null;
}
