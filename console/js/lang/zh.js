// @ts-check
// All words of one language; each subject has a file of its own.
import errors from './zh/errors.js';
import jobs from './zh/jobs.js';
import list from './zh/list.js';
import settings from './zh/settings.js';
import shares from './zh/shares.js';
import shell from './zh/shell.js';
import submit from './zh/submit.js';
import summaries from './zh/summaries.js';
import transcript from './zh/transcript.js';
import warnings from './zh/warnings.js';

export default {
  ...shell,
  ...errors,
  ...submit,
  ...jobs,
  ...list,
  ...transcript,
  ...shares,
  ...settings,
  ...summaries,
  ...warnings,
};
