// The transcript of one job.
export default {
  'transcript.title': 'Transcript',
  'transcript.empty': 'Nobody speaks in this recording.',
  'transcript.waiting': 'The text appears here part by part.',
  'transcript.download': 'Download',
};
