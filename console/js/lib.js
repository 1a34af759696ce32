// @ts-check
// The libraries, in one place: every other module imports them from here.
import { Fragment, createContext, createRef, h, render } from '../vendor/preact.js';
import htm from '../vendor/htm.js';

export * from '../vendor/preact-hooks.js';
export {
  batch,
  computed,
  effect,
  signal,
  untracked,
  useComputed,
  useSignal,
  useSignalEffect,
} from '../vendor/signals.js';
export { Fragment, createContext, createRef, h, render };
export const html = htm.bind(h);
