// @ts-check
// The models that recordings can be transcribed with, read once for a page.
import { signal } from './lib.js';
import { get } from './api.js';
import { report } from './ui/announce.js';

export const models = signal(
  /** @type {{ id: string, default: boolean, workers: number, speakers: boolean }[] | null} */ (null),
);
// The one that is chosen, or where it is gone or none is, the default one; undefined before they are read.
/** @param {string} id */
export function chosenModel(id) {
  const all = models.value ?? [];
  return all.find((one) => one.id === id) ?? all.find((one) => one.default);
}

let requested = false;

export function load() {
  if (requested) return;
  requested = true;
  get('v1/models').then(
    (page) => (models.value = page.data),
    (error) => {
      requested = false;
      report(error);
    },
  );
}
