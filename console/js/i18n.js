// @ts-check
// Words in the chosen language. A component that calls t() is drawn again when the language changes.
import en from './lang/en.js';
import zh from './lang/zh.js';
import { language } from './preferences.js';

/** @type {Record<string, Record<string, string>>} */
const WORDS = { en, zh };
/** @type {Record<string, string>} */
const TAGS = { en: 'en', zh: 'zh-CN' };

// `values` replace names in braces; `n` also selects the plural form: `key.one`, `key.other`.
/**
 * @param {string} key
 * @param {Record<string, unknown>} [values]
 */
export function t(key, values = {}) {
  const words = WORDS[language.value];
  const text = words[key] ?? ('n' in values ? plural(words, key, Number(values.n)) : undefined);
  if (text === undefined) {
    console.error(`no words for ${key}`); // the tests fail on it
    return key;
  }
  return text.replace(/\{(\w+)\}/g, (/** @type {string} */ whole, /** @type {string} */ name) =>
    name in values ? String(values[name]) : whole,
  );
}

/** @param {string} key */
export function has(key) {
  return key in WORDS[language.value];
}

/**
 * @param {Record<string, string>} words
 * @param {string} key
 * @param {number | string} n
 */
function plural(words, key, n) {
  const form = new Intl.PluralRules(tag()).select(Number(n));
  return words[`${key}.${form}`] ?? words[`${key}.other`];
}

export function tag() {
  return TAGS[language.value];
}
