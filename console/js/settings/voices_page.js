// @ts-check
// Known voices: the people whom transcripts name by themselves, and whether the tenant keeps voice prints.
import { html, useState } from '../lib.js';
import { caller, get, patch, remove } from '../api.js';
import { clock, moment } from '../format.js';
import { t } from '../i18n.js';
import { may } from '../session.js';
import { Confirm } from '../ui/dialog.js';
import { Field, FormDialog } from '../ui/form_dialog.js';
import { IconButton } from '../ui/icon_button.js';
import { useLoad } from '../ui/load.js';
import { Empty, Failure, Loading } from '../ui/states.js';
import { useTitle } from '../ui/title.js';
import { knownVoices } from '../voices/remember.js';

/** @typedef {VoiceList & { switched: boolean | null }} Known */

const tenantPath = () => `v1/tenants/${encodeURIComponent(caller.value?.tenant ?? '')}`;

// The voices and, for an admin, whether the tenant has switched them on.
/**
 * @param {AbortSignal} signal
 * @returns {Promise<Known>}
 */
async function known(signal) {
  const [voices, tenant] = await Promise.all([
    knownVoices(signal),
    may('admin') ? get(tenantPath(), {}, { signal }) : null,
  ]);
  return { ...voices, switched: tenant?.voices ?? null };
}

export function Voices() {
  useTitle(t('voices.title'));
  const { data, failure, load } = useLoad((abort) => known(abort), []);
  return html`
    <div class="page-head">
      <p class="muted">${t('voices.why')}</p>
      ${data && data.switched !== null && html`<${Switch} on=${data.switched} done=${load} />`}
    </div>
    ${failure && html`<${Failure} error=${failure} again=${load} />`}
    ${!data && !failure && html`<${Loading} />`}
    ${data && !data.enabled && html`<p class="notice">${t(data.switched ? 'voices.not_permitted' : 'voices.off')}</p>`}
    ${data && data.data.length > 0 && html`<${List} voices=${data.data} done=${load} />`}
    ${data?.data.length === 0 && html`<div class="card"><${Empty} icon="microphone" title=${t('voices.none')} /></div>`}
  `;
}

/** @param {{ on: boolean, done: () => Promise<void> }} props */
function Switch({ on, done }) {
  const [asking, setAsking] = useState(false);
  const change = async () => {
    await patch(tenantPath(), { voices: !on });
    await done();
  };
  const which = on ? 'off' : 'on';
  return html`
    <button class=${on ? '' : 'primary'} onClick=${() => setAsking(true)}>${t(`voices.switch_${which}`)}</button>
    ${
      asking &&
      html`<${Confirm} title=${t(`voices.${which}_title`)} words=${t(`voices.${which}_why`)} doing=${t(`voices.switch_${which}`)}
        danger=${on} act=${change} close=${() => setAsking(false)} />`
    }
  `;
}

/** @param {{ voices: Voice[], done: () => Promise<void> }} props */
function List({ voices, done }) {
  const [renaming, setRenaming] = useState(/** @type {Voice | null} */ (null));
  const [erasing, setErasing] = useState(/** @type {Voice | null} */ (null));
  return html`
    <ul class="card rows">
      ${voices.map((one) => html`<${Line} key=${one.id} voice=${one} rename=${() => setRenaming(one)} erase=${() => setErasing(one)} />`)}
    </ul>
    ${renaming && html`<${Renaming} voice=${renaming} done=${done} close=${() => setRenaming(null)} />`}
    ${
      erasing &&
      html`<${Confirm} title=${t('voices.delete_title', { name: erasing.name })} words=${t('voices.delete_why', { name: erasing.name })}
        doing=${t('voices.delete')} act=${() => remove(`v1/voices/${erasing.id}`, { again: true }).then(done)}
        close=${() => setErasing(null)} />`
    }
  `;
}

/** @param {{ voice: Voice, rename: () => void, erase: () => void }} props */
function Line({ voice, rename, erase }) {
  const { name, samples, consent, created_at: created, needs_enrolment: again } = voice;
  const parts = [
    t('voices.samples', { n: samples.length }),
    t('voices.speech', { time: clock(samples.reduce((sum, one) => sum + one.speech_ms, 0)) }),
    t('voices.since', { time: moment(created) }),
  ];
  return html`
    <li class="setting">
      <div class="line-main">
        <span class="job-name"><span>${name}</span></span>
        <p class="hint">${parts.join(' · ')}</p>
        <p class="hint">${t('voices.consent', { statement: consent.statement })}</p>
        ${again && html`<p class="hint">${t('voices.again')}</p>`}
      </div>
      ${
        may('submit') &&
        html`<span class="row">
          <${IconButton} icon="edit" words=${t('voices.rename_of', { name })} act=${rename} />
          <${IconButton} icon="trash" words=${t('voices.delete_of', { name })} act=${erase} />
        </span>`
      }
    </li>
  `;
}

/** @param {{ voice: Voice, done: () => Promise<void>, close: () => void }} props */
function Renaming({ voice, done, close }) {
  /** @param {FormData} form */
  const send = async (form) => {
    await patch(`v1/voices/${voice.id}`, { name: String(form.get('name')).trim() });
    close();
    await done();
  };
  return html`
    <${FormDialog} title=${t('voices.rename_of', { name: voice.name })} doing=${t('voices.save')} send=${send} close=${close}>
      <${Field} label=${t('voices.name')} name="name" defaultValue=${voice.name} required maxlength="80" autocomplete="off"
        hint=${t('voices.rename_why')} />
    <//>
  `;
}
