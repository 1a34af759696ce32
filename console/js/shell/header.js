// @ts-check
// Name, navigation, and the switches for language, colours and the session.
import { html } from '../lib.js';
import { caller } from '../api.js';
import { t } from '../i18n.js';
import { LANGUAGES, chooseLanguage, language, nextTheme, theme } from '../preferences.js';
import { link, route } from '../router.js';
import { may, signOut } from '../session.js';
import { Icon } from '../ui/icon.js';
import { IconButton } from '../ui/icon_button.js';
import { report } from '../ui/announce.js';

const ITEMS = [
  { page: '', icon: 'upload', words: 'nav.home' },
  { page: 'jobs', icon: 'list', words: 'nav.jobs', scope: 'read' },
  { page: 'search', icon: 'search', words: 'nav.search', scope: 'read' },
  { page: 'settings', icon: 'sliders', words: 'nav.settings' },
];
/** @type {Record<string, string>} */
const THEME_ICONS = { auto: 'contrast', light: 'sun', dark: 'moon' };

export function Header() {
  return html`
    <header class="header">
      <div class="header-row">
        <${Brand} />
        <${Navigation} />
        <div class="switches">
          <${LanguageSwitch} />
          <${ThemeSwitch} />
          <${Account} />
        </div>
      </div>
    </header>
  `;
}

// For people who are not signed in: nothing to go to.
export function VisitorHeader() {
  return html`
    <header class="header">
      <div class="header-row">
        <${Brand} />
        <span class="spread"></span>
        <div class="switches"><${LanguageSwitch} /><${ThemeSwitch} /></div>
      </div>
    </header>
  `;
}

export function Brand() {
  const source = new URL('../../icon.svg', import.meta.url).href;
  return html`<a class="brand" href="#/" aria-label="Paraqueue"><img src=${source} alt="" width="28" height="28" />
    <span>Paraqueue</span></a>`;
}

function Navigation() {
  const here = route.value.parts[0] ?? '';
  return html`
    <nav class="navigation" aria-label=${t('nav.label')}>
      ${ITEMS.filter((item) => !item.scope || may(item.scope)).map(
        (item) => html`
          <a
            key=${item.page}
            href=${item.page ? link(item.page) : '#/'}
            aria-current=${here === item.page || (here === 't' && item.page === 'jobs') ? 'page' : null}
          >
            <${Icon} name=${item.icon} /><span>${t(item.words)}</span>
          </a>
        `,
      )}
    </nav>
  `;
}

export function LanguageSwitch() {
  const other = language.value === 'zh' ? 'en' : 'zh';
  return html`
    <button class="quiet language" lang=${other === 'zh' ? 'zh-CN' : 'en'} onClick=${() => chooseLanguage(other)}>
      ${LANGUAGES[other]}
    </button>
  `;
}

export function ThemeSwitch() {
  const words = t('theme.switch', { theme: t(`theme.${theme.value}`) });
  return html`<${IconButton} icon=${THEME_ICONS[theme.value]} size="" words=${words} act=${nextTheme} />`;
}

function Account() {
  if (caller.value?.authentication !== 'on') return null;
  const leave = () => signOut().catch(report);
  const words = t('session.sign_out_of', { name: caller.value?.name || caller.value?.tenant });
  return html`<${IconButton} icon="leave" size="" words=${words} act=${leave} />`;
}
