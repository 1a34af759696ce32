// @ts-check
// Files by drop or choice, also whole folders.
import { html, useEffect, useRef, useState } from '../lib.js';
import { bytes } from '../format.js';
import { t } from '../i18n.js';
import { caller } from '../api.js';
import { announce } from '../ui/announce.js';
import { Icon } from '../ui/icon.js';
import { EXTENSIONS } from './extensions.js';
import { add } from './uploads.js';

// Browsers know no type of some of them; what is in a file the worker finds out by itself.
/** @param {string} name */
const named = (name) => EXTENSIONS.has(name.slice(name.lastIndexOf('.') + 1).toLowerCase());
const KINDS = /^(audio|video)\//;

/** @param {File[]} files */
function sent(files) {
  const fitting = files.filter((file) => KINDS.test(file.type) || named(file.name));
  // One file that a person chose is sent as it is: if it is no audio, the answer says so.
  const chosen = fitting.length || files.length > 1 ? fitting : files;
  const skipped = files.length - chosen.length;
  if (skipped) announce(t('files.skipped', { n: skipped }), { failed: !chosen.length });
  add(chosen);
}

/** @param {DataTransfer} transfer */
async function filesOf(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files];
  return (await Promise.all(entries.map(filesBelow))).flat();
}

/**
 * @param {any} entry a FileSystemEntry
 * @returns {Promise<File[]>}
 */
async function filesBelow(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const children = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // 100 at a time
    if (!some.length) break;
    children.push(...some);
  }
  return (await Promise.all(children.map(filesBelow))).flat();
}

// Files may be dropped anywhere on the page.
function useDrop() {
  const [over, setOver] = useState(false);
  useEffect(() => {
    /** @param {AnyEvent} event */
    const isFile = (event) => event.dataTransfer?.types.includes('Files');
    /** @param {AnyEvent} event */
    const enter = (event) => {
      if (!isFile(event)) return;
      event.preventDefault();
      setOver(true);
    };
    /** @param {AnyEvent} event */
    const leave = (event) => {
      if (!event.relatedTarget) setOver(false);
    };
    /** @param {AnyEvent} event */
    const drop = async (event) => {
      if (!isFile(event) || !event.dataTransfer) return;
      event.preventDefault();
      setOver(false);
      sent(await filesOf(event.dataTransfer));
    };
    /** @type {Record<string, (event: any) => void>} */
    const handlers = { dragenter: enter, dragover: enter, dragleave: leave, drop };
    for (const [name, handler] of Object.entries(handlers)) addEventListener(name, handler);
    return () => Object.entries(handlers).forEach(([name, handler]) => removeEventListener(name, handler));
  }, []);
  return over;
}

export function Files() {
  const over = useDrop();
  const files = useRef(/** @type {HTMLInputElement | null} */ (null));
  const folder = useRef(/** @type {HTMLInputElement | null} */ (null));
  /** @param {AnyEvent} event */
  const take = (event) => {
    sent([...event.target.files]);
    event.target.value = ''; // the same file may be chosen again
  };
  return html`
    <div class=${over ? 'drop over' : 'drop'}>
      <span class="empty-icon"><${Icon} name="upload" /></span>
      <p class="drop-title only-mouse">${t(over ? 'files.let_go' : 'files.drop')}</p>
      <p class="drop-title only-touch">${t('files.title')}</p>
      <p class="hint">${t('files.kinds', { size: bytes(caller.value?.max_upload_bytes ?? 0) })}</p>
      <div class="row">
        <button class="primary" onClick=${() => files.current?.click()}>${t('files.choose')}</button>
        <button class="only-mouse" onClick=${() => folder.current?.click()}><${Icon} name="folder" />${t('files.folder')}</button>
      </div>
      <input ref=${files} type="file" multiple hidden onChange=${take} data-kind="files" />
      <input ref=${folder} type="file" multiple hidden webkitdirectory onChange=${take} data-kind="folder" />
    </div>
  `;
}
