// @ts-check
// Theme and language: those of the system and browser until the user chooses.
import { computed, effect, signal } from './lib.js';

const THEMES = ['auto', 'light', 'dark'];
export const LANGUAGES = { en: 'English', zh: '中文' };

// Plain strings, not JSON: early.js reads them too.
/** @param {string} name */
function stored(name) {
  try {
    return localStorage.getItem(`paraqueue.${name}`);
  } catch {
    return null;
  }
}

/**
 * @param {string} name
 * @param {any} value
 */
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
  if (chosen !== null && chosen in LANGUAGES) return chosen;
  return (navigator.language || 'en').toLowerCase().startsWith('zh') ? 'zh' : 'en';
}

const storedTheme = stored('theme') ?? '';
export const theme = signal(THEMES.includes(storedTheme) ? storedTheme : 'auto');
export const language = signal(firstLanguage());

const system = matchMedia('(prefers-color-scheme: dark)');
const systemIsDark = signal(system.matches);
system.addEventListener('change', (event) => (systemIsDark.value = event.matches));

// What is drawn: light or dark. tokens.css goes by the attribute alone, so that it says its colours once.
export const look = computed(() => (theme.value === 'auto' ? (systemIsDark.value ? 'dark' : 'light') : theme.value));

effect(() => {
  document.documentElement.dataset.theme = look.value;
});
effect(() => {
  document.documentElement.lang = language.value === 'zh' ? 'zh-CN' : 'en';
});

export function nextTheme() {
  theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length];
  store('theme', theme.value === 'auto' ? null : theme.value);
}

/** @param {string} name */
export function chooseLanguage(name) {
  language.value = name;
  store('language', name);
}
