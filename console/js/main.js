// @ts-check
// The start: draws the console into the page, and follows what was submitted here.
import { html, render } from './lib.js';
import { App } from './app.js';
import { begin } from './submit/notifications.js';

render(html`<${App} />`, /** @type {HTMLElement} */ (document.getElementById('app')));
begin();
