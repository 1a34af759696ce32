// @ts-check
// Which page an address is, and the scope that its calls need. A new page is one line here.
import { Home } from './submit/page.js';
import { List } from './jobs/list_page.js';
import { Search } from './jobs/search_page.js';
import { Settings } from './settings/page.js';
import { Transcript } from './transcript/view.js';

// `props` are made from what follows the name in the address; null: there is no such page.
/** @type {Record<string, { component: any, scope?: string, props?: (parts: string[]) => Record<string, string> | null }>} */
const PAGES = {
  '': { component: Home },
  jobs: { component: List, scope: 'read' },
  search: { component: Search, scope: 'read' },
  settings: { component: Settings, props: (/** @type {any[]} */ [section = '', id]) => ({ section, id }) },
  t: { component: Transcript, scope: 'read', props: (/** @type {any[]} */ [id]) => (id ? { id } : null) },
};

// The token of a share link, whose page needs no session; null for every other page.
/** @param {string[]} parts */
export function sharedToken(parts) {
  return parts.length === 2 && parts[0] === 'shared' ? parts[1] : null;
}

/** @param {string[]} parts */
export function pageOf(parts) {
  const [name = '', ...rest] = parts;
  if (!Object.hasOwn(PAGES, name)) return null;
  const page = PAGES[name];
  const props = page.props ? page.props(rest) : {};
  if (props === null || (!page.props && rest.length)) return null;
  // Another transcript is another page: nothing of the last one stays.
  return { ...page, name: name === 't' ? parts.join('/') : name, props };
}
