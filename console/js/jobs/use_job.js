// @ts-check
// A job in a component: kept up to date for as long as the component is shown.
import { useEffect, useMemo } from '../lib.js';
import { watch } from './live.js';

// Returns the signals { job, sentences, gone }. `sentences` come only from the event stream, while the job runs.
/**
 * @param {string} id
 * @param {Job | null} [known]
 */
export function useJob(id, known = null) {
  const entry = useMemo(() => watch(id, known), [id]);
  useEffect(() => entry.leave, [entry]);
  return entry;
}
