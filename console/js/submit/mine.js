// The jobs that were sent from this browser, newest first: what the first page shows, also after a reload.
import { signal } from '../lib.js';
import { recall, remember } from '../storage.js';

const KEPT = 12;
const ids = signal(recall('mine', []));
// As they were when they were sent; the page asks how they are.
const known = new Map();

function keep(list) {
  ids.value = list.slice(0, KEPT);
  remember('mine', ids.value);
}

export const mine = {
  ids,
  known: (id) => known.get(id) ?? null,
  add(job) {
    if (job.status) known.set(job.id, job);
    keep([job.id, ...ids.value.filter((id) => id !== job.id)]);
  },
  remove(id) {
    keep(ids.value.filter((other) => other !== id));
  },
  clear() {
    keep([]);
  },
};
