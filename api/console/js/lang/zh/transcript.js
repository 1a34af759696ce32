// The transcript of one job.
export default {
  'transcript.title': '文稿',
  'transcript.empty': '这段录音里没有人说话。',
  'transcript.waiting': '文字会一段一段地出现在这里。',
  'transcript.download': '下载',
};
