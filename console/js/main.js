// @ts-check
// The start: draws the console into the page.
import { html, render } from './lib.js';
import { App } from './app.js';

render(html`<${App} />`, /** @type {HTMLElement} */ (document.getElementById('app')));
