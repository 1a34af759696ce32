// @ts-check
// An upload on its way: how far, how fast, how long still.
import { html } from '../lib.js';
import { bytes, duration, percent } from '../format.js';
import { t } from '../i18n.js';
import { Icon } from '../ui/icon.js';
import { IconButton } from '../ui/icon_button.js';
import { Failure } from '../ui/states.js';
import { again, cancel, forget } from './uploads.js';

/** @param {{ upload: Upload }} props */
export function UploadCard({ upload }) {
  const { key, name, size, sent, state, problem } = upload;
  return html`
    <li class="card job">
      <div class="job-head">
        <span class="job-name"><${Icon} name="file" /><span>${name}</span></span>
        <span class="pill ${state === 'failed' ? 'bad' : 'busy'}">${t(`upload.${state}`)}</span>
        <${IconButton} icon="close" words=${t('upload.cancel', { name })} act=${() => cancel(key)} />
      </div>
      ${
        state === 'failed'
          ? html`<${Failure} error=${problem} again=${() => again(key)} />`
          : html`
            <progress class="progress" max=${size || 1} value=${sent} aria-label=${t('upload.progress', { name })} />
            <p class="hint">${describe(upload)}</p>
          `
      }
    </li>
  `;
}

/** @param {{ size: number, sent: number, rate: number | null, state: Upload['state'] }} props */
function describe({ size, sent, rate, state }) {
  if (state === 'waiting') return bytes(size);
  const parts = [t('upload.of', { sent: bytes(sent), size: bytes(size) }), percent(size ? sent / size : 1)];
  if (rate) {
    parts.push(t('upload.rate', { rate: bytes(rate) }));
    if (sent < size) parts.push(t('upload.left', { time: duration((size - sent) / rate) }));
  }
  return parts.join(' · ');
}

/** @param {{ upload: InterruptedUpload }} props */
export function Interrupted({ upload }) {
  const { name, size, urlStorageKey } = upload;
  return html`
    <li class="card job">
      <div class="job-head">
        <span class="job-name"><${Icon} name="file" /><span>${name}</span></span>
        <span class="pill wait">${t('upload.interrupted')}</span>
        <${IconButton} icon="close" words=${t('upload.forget', { name })} act=${() => forget(urlStorageKey)} />
      </div>
      <p class="hint">${bytes(size)} · ${t('upload.choose_again')}</p>
    </li>
  `;
}
