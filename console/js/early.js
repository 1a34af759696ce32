// @ts-check
// Runs before the first paint, so that a page in the chosen colours and language does not flash in others.
(function () {
  let theme = null;
  let language = null;
  try {
    theme = localStorage.getItem('paraqueue.theme');
    language = localStorage.getItem('paraqueue.language');
  } catch {
    // Storage is unavailable (a private window): use the system's setting.
  }
  const system = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
  document.documentElement.dataset.theme = theme === 'light' || theme === 'dark' ? theme : system;
  const chosen = language || navigator.language || 'en';
  document.documentElement.lang = chosen.toLowerCase().startsWith('zh') ? 'zh-CN' : 'en';
})();
