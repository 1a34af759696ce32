// The title of the browser's tab.
import { useEffect } from '../lib.js';

export function useTitle(text) {
  useEffect(() => {
    document.title = text ? `${text} · Paraqueue` : 'Paraqueue';
  }, [text]);
}
