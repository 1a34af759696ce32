// @ts-check
// The title of the browser's tab.
import { useEffect } from '../lib.js';

/** @param {string} text */
export function useTitle(text) {
  useEffect(() => {
    document.title = text ? `${text} · Paraqueue` : 'Paraqueue';
  }, [text]);
}
