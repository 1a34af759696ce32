// @ts-check
// What this browser remembers. A browser that remembers nothing (a private window) works all the same.
const PREFIX = 'paraqueue.';

/**
 * @param {string} name
 * @param {any} [fallback]
 */
export function recall(name, fallback = null) {
  try {
    const text = localStorage.getItem(PREFIX + name);
    return text === null ? fallback : JSON.parse(text);
  } catch {
    return fallback;
  }
}

/**
 * @param {string} name
 * @param {any} value
 */
export function remember(name, value) {
  try {
    if (value === null) localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // Full or closed: the choice holds until the page is left.
  }
}
