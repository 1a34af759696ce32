// @ts-check
// All words of one language; each subject has a file of its own.
import errors from './en/errors.js';
import jobs from './en/jobs.js';
import list from './en/list.js';
import settings from './en/settings.js';
import shares from './en/shares.js';
import shell from './en/shell.js';
import submit from './en/submit.js';
import summaries from './en/summaries.js';
import transcript from './en/transcript.js';
import warnings from './en/warnings.js';

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
