// @ts-check
// Values stored in this browser; without storage (a private window), they are lost on reload.
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
