// Jobs as they move: states, the list, the search.
export default {
  'status.queued': '排队中',
  'status.processing': '转写中',
  'status.completed': '已完成',
  'status.failed': '失败',
  'status.canceled': '已取消',
  'stage.fetching': '正在获取音频',
  'stage.transcribing': '正在转写',
  'stage.finishing': '正在收尾',
  'jobs.title': '文稿',
  'search.title': '搜索',
};
