// @ts-check
// A change of the text that the service refused.
import { Problem } from '../../api.js';
import { report } from '../../ui/announce.js';

// Says why; where somebody else was first, `reread` brings what stands there now.
/**
 * @param {unknown} error
 * @param {() => Promise<unknown>} reread
 */
export async function refused(error, reread) {
  report(error);
  if (error instanceof Problem && error.code === 'edit_conflict') await reread().catch(report);
}
