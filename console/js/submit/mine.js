// @ts-check
// What was submitted from this browser, newest first, also after a reload: files or links that were submitted together
// are one group. What has not ended stays; of the rest, the newest.
import { signal } from '../lib.js';
import { recall, remember } from '../storage.js';

/**
 * @typedef {{ id: string, over: boolean }} Submitted
 * @typedef {{ key: string, jobs: Submitted[] }} Group
 */

const KEPT = 12;
/** @type {Signal<Group[]>} */
const groups = signal(recalled());
// As they were when they were sent; the page asks how they are.
/** @type {Map<string, Job>} */
const known = new Map();

function recalled() {
  return recall('submitted', []).filter((/** @type {any} */ group) => group.key && Array.isArray(group.jobs));
}

/** @param {Group} group */
const isOver = (group) => group.jobs.every((job) => job.over);

/** @param {Group[]} list */
function keep(list) {
  groups.value = list.filter((group) => group.jobs.length);
  remember('submitted', groups.value);
}

// Adding removes the oldest ended jobs; they are not removed when they end, while the user looks at them.
/** @param {Group[]} list */
function pruned(list) {
  const ended = list.filter(isOver).slice(0, KEPT);
  return list.filter((group) => !isOver(group) || ended.includes(group));
}

/**
 * The groups with one job changed, or left out where `change` gives null.
 * @param {string} id
 * @param {(job: Submitted) => Submitted | null} change
 */
function changed(id, change) {
  return groups.value.map((group) =>
    group.jobs.some((job) => job.id === id)
      ? { ...group, jobs: group.jobs.flatMap((job) => (job.id === id ? (change(job) ?? []) : [job])) }
      : group,
  );
}

export const mine = {
  groups,
  known: (/** @type {string} */ id) => known.get(id) ?? null,
  // Alone, or into a group.
  add(/** @type {Partial<Job> & { id: string }} */ job, /** @type {string} */ key = job.id) {
    if (job.status) known.set(job.id, /** @type {Job} */ (job));
    const list = changed(job.id, () => null); // the same again, where it was not transcribed twice
    const submitted = { id: job.id, over: false };
    const group = list.find((one) => one.key === key);
    if (!group) keep(pruned([{ key, jobs: [submitted] }, ...list]));
    else keep(list.map((one) => (one === group ? { key, jobs: [...group.jobs, submitted] } : one)));
  },
  // It has ended, or was started again.
  mark(/** @type {string} */ id, /** @type {boolean} */ over) {
    const job = groups.value.flatMap((group) => group.jobs).find((one) => one.id === id);
    if (job && job.over !== over) keep(changed(id, () => ({ id, over })));
  },
  remove(/** @type {string} */ id) {
    keep(changed(id, () => null));
  },
  clearEnded() {
    keep(groups.value.filter((group) => !isOver(group)));
  },
};
