// The first page: send audio, and see it move.
import { html, useEffect, useState } from '../lib.js';
import { t } from '../i18n.js';
import { JobCard } from '../jobs/card.js';
import { may } from '../session.js';
import { recall, remember } from '../storage.js';
import { Icon } from '../ui/icon.js';
import { Empty } from '../ui/states.js';
import { Tabs } from '../ui/tabs.js';
import { useTitle } from '../ui/title.js';
import { Files } from './files.js';
import { Links } from './links.js';
import { Microphone } from './microphone.js';
import { mine } from './mine.js';
import { Options } from './options.js';
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
      ${may('submit') ? html`<${Send} />` : html`<${Empty} icon="key" title=${t('submit.not_allowed')} />`}
      <${Recent} />
    </div>
  `;
}

function Send() {
  const [chosen, setChosen] = useState(recall('way', 'files'));
  const way = WAYS.find((one) => one.id === chosen) ?? WAYS[0];
  const choose = (id) => {
    setChosen(id);
    remember('way', id);
  };
  return html`
    <div class="send">
      <section class="card padded stack" aria-label=${t('submit.title')}>
        <${Tabs} label=${t('submit.ways')} items=${WAYS} chosen=${way.id} choose=${choose}>
          <${way.component} key=${way.id} />
        <//>
      </section>
      <${Options} />
    </div>
  `;
}

function Recent() {
  useEffect(() => {
    findInterrupted();
  }, []);
  const ids = may('read') ? mine.ids.value : [];
  const nothing = !uploads.value.length && !interrupted.value.length && !ids.length;
  return html`
    <section class="stack" aria-labelledby="recent-title">
      <div class="page-head">
        <h2 id="recent-title">${t('recent.title')}</h2>
        ${ids.length > 0 &&
        html`<button class="quiet small" onClick=${() => mine.clear()}>${t('recent.clear')}</button>`}
      </div>
      ${nothing
        ? html`<${Empty} icon="wave" title=${t('recent.empty')}>${t('recent.empty_why')}<//>`
        : html`<ul class="stack">
            ${uploads.value.map((upload) => html`<${UploadCard} key=${`upload-${upload.key}`} upload=${upload} />`)}
            ${interrupted.value.map((upload) => html`<${Interrupted} key=${upload.urlStorageKey} upload=${upload} />`)}
            ${ids.map((id) => html`<${JobCard} key=${id} id=${id} known=${mine.known(id)} onGone=${() => mine.remove(id)} />`)}
          </ul>`}
      ${may('read') && html`<p><a class="button quiet" href="#/jobs">${t('recent.all')}<${Icon} name="right" /></a></p>`}
    </section>
  `;
}
