// @ts-check
// One thing done with many jobs, some at a time; what fails is known by job.
import { Problem } from '../../api.js';

const AT_ONCE = 4;
const MOST_PAUSES = 10;
const PAUSE_SECONDS = 5;

/** @typedef {{ job: Job, error: unknown }} BulkFailure */

// Answers the failures, in the order of the jobs. `tell` is called with the number of jobs that are done.
/**
 * @param {Job[]} jobs
 * @param {(job: Job) => Promise<unknown>} act
 * @param {(done: number) => void} tell
 * @returns {Promise<BulkFailure[]>}
 */
export async function each(jobs, act, tell) {
  const waiting = [...jobs];
  /** @type {Map<Job, unknown>} */
  const failed = new Map();
  let done = 0;
  const work = async () => {
    for (let job = waiting.shift(); job; job = waiting.shift()) {
      try {
        await patiently(act, job);
      } catch (error) {
        failed.set(job, error);
      }
      done += 1;
      tell(done);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return jobs.filter((job) => failed.has(job)).map((job) => ({ job, error: failed.get(job) }));
}

// Where a key has used up its calls of a minute, the rest waits for the next.
/**
 * @param {(job: Job) => Promise<unknown>} act
 * @param {Job} job
 */
async function patiently(act, job) {
  for (let pauses = 0; ; pauses += 1) {
    try {
      return await act(job);
    } catch (error) {
      if (!(error instanceof Problem) || error.code !== 'rate_limited' || pauses === MOST_PAUSES) throw error;
      const seconds = error.after ?? PAUSE_SECONDS;
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    }
  }
}

/** @param {Job} job */
export const canRetry = (job) =>
  job.status === 'canceled' || (job.status === 'failed' && job.error?.retryable !== false);
