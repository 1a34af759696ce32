// @ts-check
// Minutes of audio by day, one bar a day, its parts in the colours of the keys, with a table for screen readers.
import { html } from '../lib.js';
import { day, number } from '../format.js';
import { t } from '../i18n.js';

export const SERIES = 5; // colours; further keys share the last one
const HEIGHT = 160;
const STEP = 10; // width of a day, in the units of the drawing
const DAY_MS = 86_400_000;

// The next of 1, 2, 5, 10, 20 … above the highest bar.
/** @param {number} most */
function ceiling(most) {
  const power = 10 ** Math.floor(Math.log10(Math.max(most, 1)));
  return [1, 2, 5].map((factor) => factor * power).find((value) => value >= most) ?? 10 * power;
}

/**
 * @param {UsageRow[]} rows
 * @param {{ id: string, series: number }[]} keys
 * @param {number} count
 */
function daysOf(rows, keys, count) {
  const series = new Map(keys.map((key) => [key.id, key.series]));
  const today = new Date(new Date().toISOString().slice(0, 10)).getTime();
  const days = Array.from({ length: count }, (_, n) => {
    const date = new Date(today - (count - 1 - n) * DAY_MS).toISOString().slice(0, 10);
    return { date, minutes: Array(SERIES).fill(0) };
  });
  const byDate = new Map(days.map((one) => [one.date, one]));
  for (const row of rows) {
    const one = byDate.get(row.day ?? '');
    const place = series.get(row.key_id ?? '');
    if (one && place !== undefined) one.minutes[place] += row.audio_minutes;
  }
  return days.map((one) => ({ ...one, total: one.minutes.reduce((sum, value) => sum + value, 0) }));
}

/** @param {{ rows: UsageRow[], keys: { id: string, series: number }[], days: number }} props */
export function DayChart({ rows, keys, days: count }) {
  const days = daysOf(rows, keys, count);
  const top = ceiling(Math.max(...days.map((one) => one.total)));
  return html`
    <figure class="chart" role="group" aria-label=${t('usage.chart', { days: count, n: number(top) })}>
      <div class="chart-scale" aria-hidden="true">
        <span>${t('usage.minutes_short', { n: number(top, 1) })}</span><span>${number(top / 2, 1)}</span><span>0</span>
      </div>
      <svg viewBox="0 0 ${count * STEP} ${HEIGHT}" preserveAspectRatio="none" aria-hidden="true">
        ${[0, 0.5].map((part) => html`<line key=${part} x1="0" x2=${count * STEP} y1=${part * HEIGHT} y2=${part * HEIGHT} />`)}
        ${days.map((one, n) => html`<${Bar} key=${one.date} day=${one} x=${n * STEP} top=${top} />`)}
      </svg>
      <div class="chart-days" aria-hidden="true">
        <span>${day(days[0].date)}</span><span>${day(days[Math.floor(count / 2)].date)}</span><span>${day(days[count - 1].date)}</span>
      </div>
      <${AsTable} days=${days} />
    </figure>
  `;
}

/** @param {{ day: any, x: number, top: number }} props */
function Bar({ day: one, x, top }) {
  let y = HEIGHT;
  return html`
    <g>
      <title>${day(one.date)}: ${t('usage.minutes_short', { n: number(one.total, 1) })}</title>
      <rect class="whole" x=${x} y="0" width=${STEP} height=${HEIGHT} />
      ${one.minutes.map((/** @type {number} */ minutes, /** @type {any} */ series) => {
        const height = (minutes / top) * HEIGHT;
        y -= height;
        return (
          height > 0 && html`<rect class="series-${series}" x=${x + 1} y=${y} width=${STEP - 2} height=${height} />`
        );
      })}
    </g>
  `;
}

/** @param {{ days: { date: string, total: number }[] }} props */
function AsTable({ days }) {
  return html`
    <table class="hidden">
      <caption>${t('usage.by_day')}</caption>
      <thead><tr><th scope="col">${t('usage.day')}</th><th scope="col">${t('usage.minutes')}</th></tr></thead>
      <tbody>
        ${days
          .filter((/** @type {any} */ one) => one.total > 0)
          .map(
            (/** @type {any} */ one) =>
              html`<tr key=${one.date}><td>${day(one.date)}</td><td>${number(one.total, 1)}</td></tr>`,
          )}
      </tbody>
    </table>
  `;
}
