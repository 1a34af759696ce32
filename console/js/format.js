// @ts-check
// Numbers, times and sizes as people read them, in the chosen language.
import { t, tag } from './i18n.js';

/**
 * @param {any} value
 * @param {number} [digits]
 */
export function number(value, digits = 0) {
  return new Intl.NumberFormat(tag(), { maximumFractionDigits: digits }).format(value);
}

/** @param {any} value */
export function percent(value) {
  return new Intl.NumberFormat(tag(), { style: 'percent', maximumFractionDigits: 0 }).format(value);
}

/** @param {any} value */
export function bytes(value) {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte'];
  let unit = 0;
  let size = value;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  const digits = unit > 0 && size < 10 ? 1 : 0;
  /** @type {Intl.NumberFormatOptions} */
  const how = { style: 'unit', unit: units[unit], unitDisplay: 'short', maximumFractionDigits: digits };
  return new Intl.NumberFormat(tag(), how).format(size);
}

// A place in a recording: 4:07, 1:02:09.
/** @param {number} ms */
export function clock(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  /** @param {number} part */
  const two = (part) => String(part).padStart(2, '0');
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

// How long something will take; the further off, the rounder.
/** @param {number} seconds */
export function duration(seconds) {
  if (seconds < 59.5) return t('time.seconds', { n: Math.max(1, Math.round(seconds)) });
  const all = Math.round(seconds / 60);
  if (all < 60) return t('time.minutes', { n: all });
  const [hours, minutes] = [Math.floor(all / 60), all % 60];
  return minutes ? t('time.hours_minutes', { h: hours, m: minutes }) : t('time.hours', { n: hours });
}

/** @param {string | Date} text */
export function moment(text) {
  /** @type {Intl.DateTimeFormatOptions} */
  const how = { dateStyle: 'medium', timeStyle: 'short' };
  return new Intl.DateTimeFormat(tag(), how).format(new Date(text));
}

// One after another, as the language separates them.
/** @param {string[]} items */
export function list(items) {
  return new Intl.ListFormat(tag(), { type: 'conjunction', style: 'narrow' }).format(items);
}

/** @param {string} text */
export function day(text) {
  return new Intl.DateTimeFormat(tag(), { month: 'short', day: 'numeric', timeZone: 'UTC' }).format(new Date(text));
}
