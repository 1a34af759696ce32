// @ts-check
// Saving and deleting one thing that a tenant keeps, for its page.
import { useState } from '../lib.js';
import { patch, remove } from '../api.js';
import { go } from '../router.js';
import { announce } from '../ui/announce.js';

/**
 * @param {{ path: string, list: string, changes: () => Record<string, unknown>, saved: string, done: () => void }} what
 *   `path`: of the API; `list`: the page to show after it was deleted; `changes`: what is written in the form, with its
 *   revision; `saved`: what to announce then.
 */
export function useEditing({ path, list, changes, saved, done }) {
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState(/** @type {unknown} */ (null));
  const [erasing, setErasing] = useState(false);
  /** @param {AnyEvent} event */
  const save = async (event) => {
    event.preventDefault();
    setBusy(true);
    setFailure(null);
    try {
      await patch(path, changes());
      announce(saved);
      done();
    } catch (error) {
      setFailure(error);
    }
    setBusy(false);
  };
  const erase = async () => {
    await remove(path, { again: true });
    go(list);
  };
  return { busy, failure, save, erase, erasing, setErasing };
}
