// @ts-check
// The models that recordings can be transcribed with, read once for a page.
import { signal } from './lib.js';
import { get } from './api.js';
import { report } from './ui/announce.js';

export const models = signal(
  /** @type {{ id: string, default: boolean, workers: number, speakers: boolean }[] | null} */ (null),
);
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
