// @ts-check
// One thing done with many jobs, some at a time; what fails is known by job.
import { Problem } from '../../api.js';

const AT_ONCE = 4;
const MOST_PAUSES = 10;
const PAUSE_SECONDS = 5;

/** @typedef {{ job: Job, error: unknown }} BulkFailure */

// Answers with which jobs it was done, and the failures, both in the order of the jobs; of those that were not begun
// when `stop` was aborted, nothing. `tell` is called with the number of jobs that are over.
/**
 * @param {Job[]} jobs
 * @param {(job: Job) => Promise<unknown>} act
 * @param {(over: number) => void} tell
 * @param {AbortSignal} stop
 * @returns {Promise<{ done: Job[], failures: BulkFailure[] }>}
 */
export async function each(jobs, act, tell, stop) {
  const waiting = [...jobs];
  /** @type {Set<Job>} */
  const done = new Set();
  /** @type {Map<Job, unknown>} */
  const failed = new Map();
  const work = async () => {
    for (let job = waiting.shift(); job && !stop.aborted; job = waiting.shift()) {
      try {
        if (await patiently(act, job, stop)) done.add(job);
      } catch (error) {
        failed.set(job, error);
      }
      tell(done.size + failed.size);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return {
    done: jobs.filter((job) => done.has(job)),
    failures: jobs.filter((job) => failed.has(job)).map((job) => ({ job, error: failed.get(job) })),
  };
}

// Where a key has used up its calls of a minute, the rest waits for the next. Answers whether it was done.
/**
 * @param {(job: Job) => Promise<unknown>} act
 * @param {Job} job
 * @param {AbortSignal} stop
 */
async function patiently(act, job, stop) {
  for (let pauses = 0; ; pauses += 1) {
    try {
      await act(job);
      return true;
    } catch (error) {
      if (!(error instanceof Problem) || error.code !== 'rate_limited' || pauses === MOST_PAUSES) throw error;
      await paused(error.after ?? PAUSE_SECONDS, stop);
      if (stop.aborted) return false;
    }
  }
}

/**
 * @param {number} seconds
 * @param {AbortSignal} stop
 * @returns {Promise<void>}
 */
function paused(seconds, stop) {
  return new Promise((resolve) => {
    setTimeout(resolve, seconds * 1000);
    stop.addEventListener('abort', () => resolve(), { once: true });
  });
}
