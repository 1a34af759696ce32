// Light or dark, and the language: by the system and the browser until somebody chooses.
import { effect, signal } from './lib.js';

const THEMES = ['auto', 'light', 'dark'];
export const LANGUAGES = { en: 'English', zh: '中文' };

// Plain strings, not JSON: early.js reads them too.
function stored(name) {
  try {
    return localStorage.getItem(`paraqueue.${name}`);
  } catch {
    return null;
  }
}

function store(name, value) {
  try {
    if (value === null) localStorage.removeItem(`paraqueue.${name}`);
    else localStorage.setItem(`paraqueue.${name}`, value);
  } catch {
    // A private window: the choice holds until the page is left.
  }
}

function firstLanguage() {
  const chosen = stored('language');
  if (chosen in LANGUAGES) return chosen;
  return (navigator.language || 'en').toLowerCase().startsWith('zh') ? 'zh' : 'en';
}

export const theme = signal(THEMES.includes(stored('theme')) ? stored('theme') : 'auto');
export const language = signal(firstLanguage());

effect(() => {
  if (theme.value === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.value;
});
effect(() => {
  document.documentElement.lang = language.value === 'zh' ? 'zh-CN' : 'en';
});

export function nextTheme() {
  theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length];
  store('theme', theme.value === 'auto' ? null : theme.value);
}

export function chooseLanguage(name) {
  language.value = name;
  store('language', name);
}
