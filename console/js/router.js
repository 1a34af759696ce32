// @ts-check
// Pages by the part of the address behind '#': #/jobs?status=failed. It works under any path the API is served at.
import { signal } from './lib.js';

/** @param {string} part */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // a % that is not an escape
  }
}

function read() {
  const [path, query] = (location.hash.startsWith('#/') ? location.hash.slice(1) : '/').split('?');
  const parts = path.split('/').filter(Boolean).map(decoded);
  return { path, parts, query: new URLSearchParams(query ?? '') };
}

export const route = signal(read());

addEventListener('hashchange', () => {
  route.value = read();
});

/** @param {string[]} parts */
export function link(...parts) {
  return `#/${parts.map(encodeURIComponent).join('/')}`;
}

/** @param {string} hash */
export function go(hash) {
  location.hash = hash;
}

// Changes the query without a new history entry: filters, a place in a recording.
/** @param {Record<string, string>} values */
export function setQuery(values) {
  const query = new URLSearchParams(Object.entries(values).filter(([, value]) => value !== '' && value != null));
  const text = query.toString();
  history.replaceState(history.state, '', `#${route.peek().path}${text ? `?${text}` : ''}`);
  route.value = read();
}
