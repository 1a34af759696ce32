// @ts-check
// The frame of every page: header, navigation, messages, and the page that the address names.
import { html, useEffect, useRef, useState } from './lib.js';
import { caller } from './api.js';
import { t } from './i18n.js';
import { route } from './router.js';
import { find, may, state } from './session.js';
import { SharedTranscript } from './shares/page.js';
import { Header, VisitorHeader } from './shell/header.js';
import { Connection } from './shell/connection.js';
import { SignIn } from './shell/sign_in.js';
import { Announcer } from './ui/announce.js';
import { Failure, Loading, NotFound } from './ui/states.js';
import { pageOf, sharedToken } from './pages.js';

export function App() {
  const [failure, setFailure] = useState(/** @type {unknown} */ (null));
  const visited = sharedToken(route.value.parts);
  useEffect(() => {
    if (visited === null) find().catch(setFailure);
  }, [visited === null]);
  return html`
    <${SkipLink} />
    <${Connection} />
    ${visited !== null ? html`<${VisitorHeader} />` : caller.value && html`<${Header} />`}
    <main id="main" tabindex="-1">
      ${failure && visited === null ? html`<${Failure} error=${failure} />` : html`<${Current} />`}
    </main>
    <${Announcer} />
  `;
}

function Current() {
  const { parts } = route.value;
  useNewPage(parts.join('/'));
  const visited = sharedToken(parts);
  if (visited !== null) return html`<${SharedTranscript} key=${visited} token=${visited} />`;
  if (state.value === 'asking') return html`<${Loading} />`;
  if (!caller.value) return html`<${SignIn} />`;
  const page = pageOf(parts);
  if (!page || (page.scope && !may(page.scope))) return html`<${NotFound} />`;
  return html`<${page.component} key=${page.name} ...${page.props ?? {}} />`;
}

// A page that was walked to is read from its start: the keyboard and the screen reader begin at its heading.
/** @param {string} place */
function useNewPage(place) {
  const first = useRef(true);
  useEffect(() => {
    if (first.current) {
      first.current = false;
      return;
    }
    scrollTo(0, 0);
    document.getElementById('main')?.focus({ preventScroll: true });
  }, [place]);
}

// Not a plain link: the router reads the address behind '#'.
function SkipLink() {
  /** @param {AnyEvent} event */
  const skip = (event) => {
    event.preventDefault();
    document.getElementById('main')?.focus();
  };
  return html`<a class="skip" href="#main" onClick=${skip}>${t('shell.skip')}</a>`;
}
