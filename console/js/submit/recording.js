// @ts-check
// One recording from the microphone: MediaRecorder, and how loud it is.
export const STATES = { ready: 'ready', asking: 'asking', recording: 'recording', taken: 'taken' };
const KINDS = [
  ['audio/webm;codecs=opus', 'webm'],
  ['audio/mp4', 'm4a'],
  ['audio/ogg;codecs=opus', 'ogg'],
];
const SLICE_MS = 1000; // what was heard is handed over each second
const SILENCE_DB = -60;

export function possible() {
  return Boolean(navigator.mediaDevices) && 'MediaRecorder' in globalThis;
}

export class Recording {
  static async begin() {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, echoCancellation: false } });
    return new Recording(stream);
  }

  /** @param {MediaStream} stream */
  constructor(stream) {
    this.stream = stream;
    const [type, extension] = KINDS.find(([kind]) => MediaRecorder.isTypeSupported(kind)) ?? ['', 'webm'];
    this.type = type;
    this.extension = extension;
    /** @type {Blob[]} */
    this.pieces = [];
    this.recorder = new MediaRecorder(stream, this.type ? { mimeType: this.type } : {});
    this.recorder.addEventListener('dataavailable', (event) => this.pieces.push(event.data));
    this.recorder.start(SLICE_MS);
    this.startedAt = performance.now();
    this.context = new AudioContext();
    this.analyser = this.context.createAnalyser();
    this.analyser.fftSize = 1024;
    this.samples = new Float32Array(this.analyser.fftSize);
    this.context.createMediaStreamSource(this.stream).connect(this.analyser);
  }

  // 0 (silence) to 1 (as loud as can be).
  level() {
    this.analyser.getFloatTimeDomainData(this.samples);
    const power = this.samples.reduce((sum, value) => sum + value * value, 0) / this.samples.length;
    return Math.min(1, Math.max(0, 1 - (10 * Math.log10(power + 1e-12)) / SILENCE_DB));
  }

  elapsedMs() {
    return performance.now() - this.startedAt;
  }

  // The file, and the microphone is let go of.
  /** @param {string} name */
  async stop(name) {
    const ended = new Promise((resolve) => this.recorder.addEventListener('stop', resolve, { once: true }));
    if (this.recorder.state !== 'inactive') {
      this.recorder.stop();
      await ended;
    }
    this.release();
    return new File(this.pieces, `${name}.${this.extension}`, { type: this.type.split(';')[0] });
  }

  release() {
    if (this.recorder.state !== 'inactive') this.recorder.stop();
    this.stream.getTracks().forEach((track) => track.stop());
    if (this.context.state !== 'closed') this.context.close();
  }
}

// MediaRecorder writes no length into webm; a player learns it by being sent to the end.
/** @param {HTMLMediaElement} audio */
export function findLength(audio) {
  if (Number.isFinite(audio.duration)) return;
  audio.addEventListener('durationchange', () => (audio.currentTime = 0), { once: true });
  audio.currentTime = 1e7;
}
