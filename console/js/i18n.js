// Words in the chosen language. A component that calls t() is drawn again when the language changes.
import en from './lang/en.js';
import zh from './lang/zh.js';
import { language } from './preferences.js';

const WORDS = { en, zh };
const TAGS = { en: 'en', zh: 'zh-CN' };

// `values` stand in braces in the text; with `n`, the plural form is chosen: `key.one`, `key.other`.
export function t(key, values = {}) {
  const words = WORDS[language.value];
  const found = words[key] ?? ('n' in values ? plural(words, key, values.n) : undefined);
  if (found === undefined) {
    console.error(`no words for ${key}`); // the tests fail on it
    return key;
  }
  return found.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

export function has(key) {
  return key in WORDS[language.value];
}

function plural(words, key, n) {
  const form = new Intl.PluralRules(tag()).select(Number(n));
  return words[`${key}.${form}`] ?? words[`${key}.other`];
}

export function tag() {
  return TAGS[language.value];
}
