// @ts-check
// The events of webhooks, and whether an endpoint receives them: on each page that shows some.
import { html } from '../lib.js';
import { t } from '../i18n.js';

/** @type {Record<string, string>} */
const NAMES = {
  'transcription.completed': 'event.completed',
  'transcription.failed': 'event.failed',
  'transcription.canceled': 'event.canceled',
  'transcription.progress': 'event.progress',
  'batch.completed': 'event.batch_completed',
};
export const EVENTS = Object.keys(NAMES);
// The default events of a new endpoint: every end, but no progress.
export const USUAL = EVENTS.filter((event) => event !== 'transcription.progress');

/** @param {string} event */
export function eventName(event) {
  if (event === 'webhook.test') return t('event.test');
  return event in NAMES ? t(NAMES[event]) : event;
}

/** @param {{ endpoint: Webhook }} props */
export function Enabled({ endpoint }) {
  const words = t(endpoint.enabled ? 'webhooks.on' : 'webhooks.off');
  return html`<span class="pill ${endpoint.enabled ? 'good' : 'bad'}">${words}</span>`;
}
