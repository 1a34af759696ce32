// @ts-check
// Warnings about a recording.
export default {
  'warnings.title': 'About this recording',
  'warning.audio_truncated': 'The recording is cut off here; the rest is missing.',
  'warning.audio_gap': 'Sound is missing here; the recording continues after the gap.',
  'warning.audio_damaged': 'The file is damaged here; sound is missing.',
  'warning.timestamps_invalid': 'The file’s timestamps jump here; times from here on may differ from a player’s.',
  'warning.length_wrong': 'The file’s header states a wrong length; all of the audio was read.',
  'warning.format_changed': 'The audio format changes here; all of it was read.',
  'warning.tracks_not_heard': 'The file has other audio tracks that were not transcribed.',
  'warning.channels_cancel': 'The channels cancel each other out when mixed; the loudest one was used.',
  'warning.level_raised': 'The recording is very quiet; it was amplified for recognition.',
  'warning.level_lowered': 'The sound is louder than full scale; it was attenuated for recognition.',
  'tracks.title': 'Audio tracks',
  'tracks.index': 'Track {index}',
  'tracks.transcribed': 'transcribed',
  'tracks.not_transcribed': 'not transcribed',
};
