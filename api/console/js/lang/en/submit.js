// Sending audio: files, links, the microphone.
export default {
  'submit.title': 'Transcribe a recording',
};
