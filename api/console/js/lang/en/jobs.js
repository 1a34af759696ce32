// Jobs as they move: states, the list, the search.
export default {
  'status.queued': 'Waiting',
  'status.processing': 'Transcribing',
  'status.completed': 'Done',
  'status.failed': 'Failed',
  'status.canceled': 'Canceled',
  'stage.fetching': 'Fetching the audio',
  'stage.transcribing': 'Transcribing',
  'stage.finishing': 'Finishing',
  'jobs.title': 'Transcripts',
  'search.title': 'Search',
};
