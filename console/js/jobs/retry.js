// @ts-check
// Starting a job again that failed or was canceled.
import { onceKey, post } from '../api.js';
import { changed } from './live.js';

/** @param {Job} job */
export const canRetry = (job) =>
  job.status === 'canceled' || (job.status === 'failed' && job.error?.retryable !== false);

// Raises Problem.
/** @param {Job} job */
export async function retry({ id }) {
  const headers = { 'Idempotency-Key': onceKey() };
  changed(await post(`v1/transcriptions/${id}/retry`, undefined, { headers, again: true }));
}
