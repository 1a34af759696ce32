// @ts-check
// The browser's own notifications: what was submitted here has ended, and the page is not looked at. Off until a person
// asks for them.
import { computed, effect, html, signal, untracked } from '../lib.js';
import { caller } from '../api.js';
import { t } from '../i18n.js';
import { isOver, watch, whileHidden } from '../jobs/live.js';
import { nameOf } from '../jobs/name.js';
import { go, link } from '../router.js';
import { may } from '../session.js';
import { recall, remember } from '../storage.js';
import { announce } from '../ui/announce.js';
import { mine } from './mine.js';

const possible = 'Notification' in globalThis && isSecureContext;
const wanted = signal(recall('notify', false));
const permission = signal(possible ? Notification.permission : 'denied');
const isOn = computed(() => wanted.value && permission.value === 'granted');

// Asks the browser for permission, if it has not been asked. Only ever called by a click.
/** @param {boolean} on */
async function choose(on) {
  if (on && permission.peek() === 'default') await Notification.requestPermission();
  permission.value = Notification.permission; // a person may have changed it in the browser
  wanted.value = on && permission.value === 'granted';
  remember('notify', wanted.value || null);
  if (on && !wanted.value) announce(t('notify.denied'), { failed: true });
}

export function NotifyChoice() {
  const on = isOn.value;
  if (!possible) return null;
  /** @param {AnyEvent} event */
  const change = async ({ target }) => {
    await choose(target.checked);
    target.checked = isOn.peek(); // also where nothing has changed
  };
  return html`
    <label class="choice"><input type="checkbox" checked=${on} onChange=${change} /><span>${t('notify.choice')}</span></label>
  `;
}

// By job: what ends watching it.
/** @type {Map<string, () => void>} */
const followed = new Map();

// Follows what has not ended, on whichever page.
export function begin() {
  effect(() => {
    whileHidden.value = isOn.value;
    const open = isOn.value && caller.value && may('read') ? stillOpen(mine.groups.value) : [];
    for (const [id, stop] of followed) {
      if (open.includes(id)) continue;
      followed.delete(id);
      stop();
    }
    const added = open.filter((id) => !followed.has(id));
    untracked(() => added.forEach((id) => followed.set(id, follow(id))));
  });
}

/** @param {import('./mine.js').Group[]} groups */
const stillOpen = (groups) => groups.flatMap(({ jobs }) => jobs.filter((job) => !job.over).map((job) => job.id));

/** @param {string} id */
function follow(id) {
  const entry = watch(id, mine.known(id));
  // Not in the effect that a signal sets off: what is done here changes signals.
  const stop = entry.job.subscribe((job) => job && isOver(job) && queueMicrotask(() => ended(job)));
  return () => {
    stop();
    entry.leave();
  };
}

// Of recordings that were submitted together, one notification when all have ended.
/** @param {Job} job */
function ended(job) {
  const group = mine.groups.peek().find((one) => one.jobs.some(({ id }) => id === job.id));
  if (!group || !followed.has(job.id)) return;
  mine.mark(job.id, true);
  if (!document.hidden || stillOpen([group]).some((id) => id !== job.id)) return;
  const count = group.jobs.length;
  if (count > 1) show(t('notify.group', { n: count }), group.key, '#/');
  else show(t(`notify.${job.status}`, { name: nameOf(job) }), group.key, link('t', job.id));
}

// The same in two windows is shown once: it has the same tag.
/**
 * @param {string} words
 * @param {string} tag
 * @param {string} place
 */
function show(words, tag, place) {
  const shown = new Notification(words, { tag });
  shown.addEventListener('click', () => {
    focus();
    go(place);
    shown.close();
  });
}
