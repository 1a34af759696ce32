export { default } from 'wavesurfer.js';
