// @ts-check
// The first page: send audio, and see it move.
import { html, useEffect, useState } from '../lib.js';
import { t } from '../i18n.js';
import { JobCard } from '../jobs/card.js';
import { may } from '../session.js';
import { recall, remember } from '../storage.js';
import { DemoNotice } from '../shell/demo.js';
import { Icon } from '../ui/icon.js';
import { Empty } from '../ui/states.js';
import { Tabs } from '../ui/tabs.js';
import { useTitle } from '../ui/title.js';
import { BatchCard } from './batch_card.js';
import { Files } from './files.js';
import { Links } from './links.js';
import { Microphone } from './microphone.js';
import { mine } from './mine.js';
import { NotifyChoice } from './notifications.js';
import { Options, options } from './options.js';
import { Interrupted, UploadCard } from './upload_card.js';
import { findInterrupted, interrupted, uploads } from './uploads.js';

const WAYS = [
  { id: 'files', icon: 'file', words: 'submit.files', component: Files },
  { id: 'links', icon: 'link', words: 'submit.links', component: Links },
  { id: 'microphone', icon: 'microphone', words: 'submit.microphone', component: Microphone },
];

export function Home() {
  useTitle(t('submit.title'));
  return html`
    <div class="page">
      <div class="page-head">
        <div>
          <h1>${t('submit.title')}</h1>
          <p class="muted">${t('submit.why')}</p>
        </div>
      </div>
      <${DemoNotice} model=${options.value.model} />
      <div class="send">
        ${may('submit') ? html`<${Send} />` : html`<${Empty} icon="key" title=${t('submit.not_allowed')} />`}
        <${Recent} />
      </div>
    </div>
  `;
}

function Send() {
  const [chosen, setChosen] = useState(recall('way', 'files'));
  const way = WAYS.find((one) => one.id === chosen) ?? WAYS[0];
  /** @param {string} id */
  const choose = (id) => {
    setChosen(id);
    remember('way', id);
  };
  return html`
    <section class="card padded stack" aria-label=${t('submit.title')}>
      <${Tabs} label=${t('submit.ways')} items=${WAYS} chosen=${way.id} choose=${choose}>
        <${way.component} key=${way.id} />
      <//>
    </section>
    <${Options} />
  `;
}

function Recent() {
  useEffect(() => {
    findInterrupted();
  }, []);
  const groups = shownGroups(may('read') ? mine.groups.value : [], uploads.value);
  const nothing = !interrupted.value.length && !groups.length;
  return html`
    <section class="stack recent" aria-labelledby="recent-title">
      <div class="page-head">
        <h2 id="recent-title">${t('recent.title')}</h2>
        ${
          mine.groups.value.length > 0 &&
          html`<button class="quiet small" onClick=${() => mine.clearEnded()}>${t('recent.clear')}</button>`
        }
      </div>
      <${NotifyChoice} />
      ${
        nothing
          ? html`<${Empty} icon="wave" title=${t('recent.empty')}>${t('recent.empty_why')}<//>`
          : html`<ul class="stack">
            ${interrupted.value.map((upload) => html`<${Interrupted} key=${upload.urlStorageKey} upload=${upload} />`)}
            ${groups.map((group) => html`<${Group} key=${group.key} ...${group} />`)}
          </ul>`
      }
      ${may('read') && html`<p><a class="button quiet" href="#/jobs">${t('recent.all')}<${Icon} name="right" /></a></p>`}
    </section>
  `;
}

// What is on its way and what was submitted, by the group that it belongs to; what is on its way first.
/**
 * @param {import('./mine.js').Group[]} submitted
 * @param {Upload[]} sending
 */
function shownGroups(submitted, sending) {
  /** @type {Map<string, { key: string, ids: string[], uploads: Upload[] }>} */
  const groups = new Map();
  for (const upload of sending) {
    const key = upload.group ?? `upload-${upload.key}`;
    const group = groups.get(key) ?? { key, ids: [], uploads: [] };
    group.uploads.push(upload);
    groups.set(key, group);
  }
  for (const { key, jobs } of submitted) {
    groups.set(key, { key, uploads: [], ...groups.get(key), ids: jobs.map((job) => job.id) });
  }
  return [...groups.values()];
}

/** @param {{ ids: string[], uploads: Upload[] }} props */
function Group({ ids, uploads: sending }) {
  if (ids.length + sending.length > 1) return html`<${BatchCard} ids=${ids} uploads=${sending} />`;
  if (sending.length) return html`<${UploadCard} upload=${sending[0]} />`;
  const [id] = ids;
  return html`<${JobCard} key=${id} id=${id} known=${mine.known(id)} onGone=${() => mine.remove(id)}
    onOver=${(/** @type {boolean} */ over) => mine.mark(id, over)} />`;
}
