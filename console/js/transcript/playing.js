// @ts-check
// The recording beside a text: opened when it is there, followed, and closed with the page.
import { html, useEffect } from '../lib.js';
import { t } from '../i18n.js';
import { followPlayer } from './follower.js';

/**
 * @param {Model} view
 * @param {boolean} there whether there is a recording to open
 */
export function usePlayer(view, there) {
  useEffect(() => {
    if (there) view.player.open();
  }, [there]);
  useEffect(() => {
    const stop = followPlayer(view);
    return () => {
      stop();
      view.close();
    };
  }, []);
}

/** @param {{ view: Model }} props */
export function Back({ view }) {
  if (view.following.value || !view.player.playing.value) return null;
  return html`<button class="primary small follow" onClick=${() => view.follow()}>${t('transcript.follow')}</button>`;
}
