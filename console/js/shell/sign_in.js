// @ts-check
// The sign-in page: an API key becomes a session of this browser.
import { html, useRef, useState } from '../lib.js';
import { t } from '../i18n.js';
import { signIn } from '../session.js';
import { useTitle } from '../ui/title.js';
import { Failure } from '../ui/states.js';
import { Brand, LanguageSwitch, ThemeSwitch } from './header.js';

export function SignIn() {
  useTitle(t('session.sign_in'));
  const [failure, setFailure] = useState(/** @type {unknown} */ (null));
  const [busy, setBusy] = useState(false);
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));

  /** @param {AnyEvent} event */
  const send = async (event) => {
    event.preventDefault();
    const key = field.current?.value.trim();
    if (!key) {
      field.current?.focus();
      return;
    }
    setBusy(true);
    setFailure(null);
    try {
      await signIn(key);
    } catch (error) {
      setBusy(false);
      setFailure(error);
      field.current?.select();
    }
  };

  return html`
    <div class="sign-in">
      <div class="sign-in-top"><${Brand} /><span class="spread"></span><${LanguageSwitch} /><${ThemeSwitch} /></div>
      <form class="card" onSubmit=${send} aria-labelledby="sign-in-title">
        <h1 id="sign-in-title">${t('session.sign_in')}</h1>
        <p class="muted">${t('session.why')}</p>
        <label class="field">
          <span class="label">${t('session.key')}</span>
          <input
            ref=${field}
            type="password"
            name="key"
            autocomplete="current-password"
            spellcheck="false"
            autocapitalize="off"
            placeholder="pq_live_…"
            aria-invalid=${failure ? 'true' : null}
          />
        </label>
        ${failure && html`<${Failure} error=${failure} />`}
        <button class="primary wide" type="submit" disabled=${busy}>${t(busy ? 'session.busy' : 'session.sign_in')}</button>
        <p class="hint">${t('session.where')}</p>
      </form>
    </div>
  `;
}
