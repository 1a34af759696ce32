// @ts-check
// How much was transcribed: by day as a chart, by key as a table.
import { html, useState } from '../lib.js';
import { BASE, get } from '../api.js';
import { number, percent } from '../format.js';
import { t } from '../i18n.js';
import { useLoad } from '../ui/load.js';
import { Empty, Failure, Loading } from '../ui/states.js';
import { Tabs } from '../ui/tabs.js';
import { useTitle } from '../ui/title.js';
import { DayChart, SERIES } from './day_chart.js';

const SPANS = [
  { id: '7', words: 'usage.week' },
  { id: '30', words: 'usage.month' },
  { id: '90', words: 'usage.quarter' },
];
const DAY_MS = 86_400_000;

// Whole days of UTC, today the last.
/** @param {number} days */
function since(days) {
  const today = new Date(new Date().toISOString().slice(0, 10));
  return new Date(today.getTime() - (days - 1) * DAY_MS).toISOString();
}

export function Usage() {
  useTitle(t('usage.title'));
  const [span, setSpan] = useState('30');
  const query = { group_by: 'day,key', from: since(Number(span)) };
  const { data, failure, load } = useLoad((abort) => get('v1/usage', query, { signal: abort }), [span]);
  const table = new URL(`v1/usage?${new URLSearchParams({ ...query, format: 'csv' })}`, BASE).href;
  return html`
    <${Tabs} label=${t('usage.span')} items=${SPANS} chosen=${span} choose=${setSpan}>
      ${failure && html`<${Failure} error=${failure} again=${load} />`}
      ${!data && !failure && html`<${Loading} />`}
      ${data && html`<${Report} rows=${data.data} days=${Number(span)} table=${table} />`}
    <//>
  `;
}

/** @param {{ rows: UsageRow[], days: number, table: string }} props */
function Report({ rows, days, table }) {
  if (!rows.length) return html`<div class="card"><${Empty} icon="chart" title=${t('usage.none')} /></div>`;
  const keys = byKey(rows);
  return html`
    <div class="stack">
      <${Totals} rows=${rows} />
      <section class="card padded stack">
        <h2>${t('usage.by_day')}</h2>
        <${DayChart} rows=${rows} keys=${keys} days=${days} />
      </section>
      <section class="card padded stack">
        <div class="page-head">
          <h2>${t('usage.by_key')}</h2>
          <a class="button small" href=${table} download="usage.csv">${t('usage.csv')}</a>
        </div>
        <${ByKey} keys=${keys} />
      </section>
    </div>
  `;
}

/**
 * @param {UsageRow[]} rows
 * @param {'jobs' | 'failed' | 'audio_minutes' | 'processing_seconds' | 'prompt_tokens' | 'completion_tokens'} name
 */
const sum = (rows, name) => rows.reduce((total, row) => total + row[name], 0);

/** @param {{ rows: UsageRow[] }} props */
function Totals({ rows }) {
  const [jobs, failed] = [sum(rows, 'jobs'), sum(rows, 'failed')];
  const tiles = [
    ['usage.audio', t('usage.hours', { n: number(sum(rows, 'audio_minutes') / 60, 1) })],
    ['usage.jobs', number(jobs)],
    ['usage.failed', `${number(failed)} (${percent(jobs ? failed / jobs : 0)})`],
    ['usage.speed', speed(rows)],
    ...(tokens(rows) ? [['usage.tokens', number(tokens(rows))]] : []),
  ];
  return html`
    <dl class="tiles">
      ${tiles.map(([words, value]) => html`<div class="card tile" key=${words}><dt>${t(words)}</dt><dd>${value}</dd></div>`)}
    </dl>
  `;
}

// What language models read and wrote for summaries.
/** @param {UsageRow[]} rows */
const tokens = (rows) => sum(rows, 'prompt_tokens') + sum(rows, 'completion_tokens');

// Audio time to computing time.
/** @param {UsageRow[]} rows */
function speed(rows) {
  const seconds = sum(rows, 'processing_seconds');
  return seconds ? t('usage.times', { n: number((sum(rows, 'audio_minutes') * 60) / seconds) }) : '–';
}

// Keys by how much they used, each with the colour of its place.
/** @param {UsageRow[]} rows */
function byKey(rows) {
  const groups = new Map();
  for (const row of rows) {
    const id = row.key_id ?? '';
    if (!groups.has(id)) {
      groups.set(id, { id, name: row.key_name ?? (row.key_id ? row.key_id : t('usage.no_key')), rows: [] });
    }
    groups.get(id).rows.push(row);
  }
  /** @param {any} key */
  const minutes = (key) => sum(key.rows, 'audio_minutes');
  const sorted = [...groups.values()].sort((a, b) => minutes(b) - minutes(a));
  return sorted.map((key, n) => ({ ...key, series: Math.min(n, SERIES - 1) }));
}

/** @param {{ keys: any[] }} props */
function ByKey({ keys }) {
  const summarised = keys.some((key) => tokens(key.rows));
  const columns = ['usage.minutes', 'usage.jobs', 'usage.failed', ...(summarised ? ['usage.tokens'] : [])];
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label=${t('usage.by_key')}>
      <table>
        <thead>
          <tr>
            <th scope="col">${t('usage.key')}</th>
            ${columns.map((words) => html`<th scope="col" class="number">${t(words)}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${keys.map(
            (key) => html`
              <tr key=${key.id}>
                <td><span class="swatch series-${key.series}" aria-hidden="true"></span>${key.name}</td>
                <td class="number">${number(sum(key.rows, 'audio_minutes'), 1)}</td>
                <td class="number">${number(sum(key.rows, 'jobs'))}</td>
                <td class="number">${number(sum(key.rows, 'failed'))}</td>
                ${summarised && html`<td class="number">${number(tokens(key.rows))}</td>`}
              </tr>
            `,
          )}
        </tbody>
      </table>
    </div>
  `;
}
