// @ts-check
// The models that recordings can be transcribed with, read once for a page.
import { signal } from './lib.js';
import { get } from './api.js';
import { report } from './ui/announce.js';

/** @type {Signal<{ id: string, default: boolean, workers: number }[]>} */
export const models = signal(null);
let asked = false;

export function load() {
  if (asked) return;
  asked = true;
  get('v1/models').then(
    (told) => (models.value = told.data),
    (error) => {
      asked = false;
      report(error);
    },
  );
}
