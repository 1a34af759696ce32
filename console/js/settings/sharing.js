// @ts-check
// Whether the transcripts of this tenant may be shared by links.
import { html, useState } from '../lib.js';
import { caller, get, patch } from '../api.js';
import { t } from '../i18n.js';
import { announce, report } from '../ui/announce.js';
import { useLoad } from '../ui/load.js';
import { Failure } from '../ui/states.js';

export function Sharing() {
  const path = `v1/tenants/${encodeURIComponent(caller.value?.tenant ?? '')}`;
  const { data, failure, load } = useLoad((abort) => get(path, {}, { signal: abort }), [path]);
  const [wanted, setWanted] = useState(/** @type {boolean | null} */ (null)); // until the service has it
  /** @param {AnyEvent} event */
  const change = async (event) => {
    const sharing = event.target.checked;
    setWanted(sharing);
    try {
      await patch(path, { sharing });
      announce(t(sharing ? 'sharing.is_on' : 'sharing.is_off'));
    } catch (error) {
      report(error);
    }
    await load();
    setWanted(null);
  };
  return html`
    <section class="card padded stack" aria-labelledby="sharing-title">
      <h2 id="sharing-title">${t('sharing.title')}</h2>
      ${failure && html`<${Failure} error=${failure} again=${load} />`}
      ${
        data &&
        html`<label class="choice">
          <input type="checkbox" checked=${wanted ?? data.sharing} disabled=${wanted !== null} aria-describedby="sharing-why" onChange=${change} />
          <span>${t('sharing.allow')}</span>
        </label>`
      }
      <p class="hint" id="sharing-why">${t('sharing.why')}</p>
    </section>
  `;
}
