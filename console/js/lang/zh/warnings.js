// @ts-check
// Warnings about a recording.
export default {
  'warnings.title': '关于这段录音',
  'warning.audio_truncated': '录音在此中断，后面的内容缺失。',
  'warning.audio_gap': '此处没有声音，录音在间隔之后继续。',
  'warning.audio_damaged': '文件在此处损坏，缺少一段声音。',
  'warning.timestamps_invalid': '文件的时间戳在此处跳变，之后的时间可能与播放器显示的不同。',
  'warning.length_wrong': '文件头中的长度有误，已读取文件中的全部声音。',
  'warning.format_changed': '声音的格式从此处起改变，已读取全部声音。',
  'warning.tracks_not_heard': '文件中还有其他音轨没有转写。',
  'warning.channels_cancel': '各声道混合后会相互抵消，因此采用了最响的声道。',
  'warning.level_raised': '录音音量很低，识别前已放大。',
  'warning.level_lowered': '声音超过满刻度，识别前已衰减。',
  'tracks.title': '音轨',
  'tracks.index': '音轨 {index}',
  'tracks.transcribed': '已转写',
  'tracks.not_transcribed': '未转写',
};
