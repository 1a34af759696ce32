// Sending audio: files, links, the microphone.
export default {
  'submit.title': '转写录音',
};
