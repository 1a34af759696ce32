// @ts-check
// The recording: one <audio> element that streams by ranges, and how loud the recording is for the waveform.
import { computed, signal } from '../lib.js';
import { BASE, Problem, fetched } from '../api.js';
import { recall, remember } from '../storage.js';

export const RATES = [0.5, 0.75, 1, 1.25, 1.5, 2, 3];
const POINTS = 2000;
const ASK_AGAIN_MS = 1500;
const TRIES = 3;
// A pause that is skipped: how long it is at least, and how much of each end is played.
const PAUSE_MS = 2000;
const PAUSE_END_MS = 400;

export class Player {
  /**
   * @param {string} path below which the API has the recording
   * @param {{ afterPause: (ms: number, least: number) => number | null }} text what is said in it
   */
  constructor(path, text) {
    this.path = path;
    this.text = text;
    this.url = new URL(`${path}/audio`, BASE);
    this.broken = 0; // how often in a row the connection was lost
    this.audio = new Audio();
    this.audio.preload = 'metadata';
    // 'waiting' (not fetched, or being made over), 'ready', or 'gone' with `failure`.
    this.state = signal('waiting');
    this.failure = signal(/** @type {unknown} */ (null));
    this.peaks = signal(/** @type {Peaks | null} */ (null));
    this.playing = signal(false);
    this.rate = signal(recall('rate', 1));
    this.volume = signal(recall('volume', 1)); // 0 to 1
    this.muted = signal(false);
    this.skipsPauses = signal(recall('skip_pauses', false));
    this.ms = signal(0);
    this.loop = signal(/** @type {{ start: number, end: number } | null} */ (null));
    // For what shows the time: `ms` changes sixty times a second.
    this.tick = computed(() => Math.floor(this.ms.value / 250) * 250);
    this.durationMs = signal(0);
    this.abort = new AbortController();
    this.listen();
  }

  listen() {
    /**
     * @param {string} name
     * @param {() => any} act
     */
    const on = (name, act) => this.audio.addEventListener(name, act, { signal: this.abort.signal });
    on('play', () => this.run());
    on('pause', () => this.stopped());
    on('ended', () => this.stopped());
    on('seeked', () => this.look());
    on('ratechange', () => {
      this.rate.value = this.audio.playbackRate;
      remember('rate', this.rate.value);
    });
    on('volumechange', () => {
      this.volume.value = this.audio.volume;
      this.muted.value = this.audio.muted;
      remember('volume', this.volume.value);
    });
    this.audio.volume = this.volume.value;
    this.audio.defaultPlaybackRate = this.rate.value;
    this.audio.playbackRate = this.rate.value;
    on('durationchange', () => {
      if (Number.isFinite(this.audio.duration)) this.durationMs.value = Math.round(this.audio.duration * 1000);
    });
    on('playing', () => (this.broken = 0));
    on('error', () => this.recover());
  }

  // Asks for the audio until it is there. A browser's own element would take "being made over" for a broken file.
  async open() {
    try {
      await this.prepared(() => this.firstByte());
      if (this.abort.signal.aborted) return;
      this.audio.src = this.url.href;
      this.state.value = 'ready';
      if (this.wished !== undefined) this.seek(this.wished);
    } catch (error) {
      if (!this.abort.signal.aborted) this.fail(error);
    }
    await this.measure();
  }

  firstByte() {
    return fetched(this.url, { headers: { Range: 'bytes=0-0' }, abort: this.abort.signal });
  }

  // The element gives no details of an error: ask the API, or wait until it responds, and continue.
  async recover() {
    const at = this.ms.peek();
    const lost = this.audio.error?.code === MediaError.MEDIA_ERR_NETWORK && this.broken < TRIES;
    const played = this.playing.peek();
    this.broken += 1;
    try {
      await this.firstByte();
    } catch (error) {
      if (!this.abort.signal.aborted) this.fail(error);
      return;
    }
    if (!lost) {
      // The service has decoded this recording, so the fault is here: no sound device, or no decoder.
      this.fail(new Problem({ code: 'playback' }));
      return;
    }
    this.audio.load();
    this.seek(at);
    if (played) this.play();
  }

  // The recording can be played without a waveform.
  async measure() {
    if (this.state.value !== 'ready') return;
    const url = new URL(`${this.path}/peaks?points=${POINTS}`, BASE);
    try {
      const answer = await this.prepared(() => fetched(url, { abort: this.abort.signal }));
      const peaks = await answer.json();
      if (!this.durationMs.value) this.durationMs.value = peaks.duration_ms;
      this.peaks.value = peaks;
    } catch (error) {
      if (!(error instanceof Problem) && !this.abort.signal.aborted) throw error;
    }
  }

  /** @param {() => Promise<Response>} ask */
  async prepared(ask) {
    for (;;) {
      try {
        const answer = await ask();
        if (answer.status !== 202) return answer;
        await answer.body?.cancel();
      } catch (error) {
        if (!(error instanceof Problem) || error.code !== 'not_ready') throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
      this.abort.signal.throwIfAborted();
    }
  }

  /** @param {unknown} error */
  fail(error) {
    this.failure.value = error;
    this.state.value = 'gone';
    this.playing.value = false;
  }

  run() {
    this.playing.value = true;
    const frame = () => {
      if (!this.playing.value) return;
      this.look();
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  stopped() {
    this.playing.value = false;
    this.look();
  }

  look() {
    const ms = Math.round(this.audio.currentTime * 1000);
    const loop = this.loop.peek();
    if (loop && this.playing.peek() && ms >= loop.end) this.seek(loop.start);
    else {
      this.ms.value = ms;
      if (this.skipsPauses.peek() && !loop && this.playing.peek()) this.skipPause(ms);
    }
  }

  /** @param {number} ms */
  skipPause(ms) {
    const next = this.text.afterPause(ms - PAUSE_END_MS, PAUSE_MS);
    if (next !== null && next - PAUSE_END_MS > ms && !this.audio.seeking) this.seek(next - PAUSE_END_MS);
  }

  // Repeats a stretch of the recording until it is asked again.
  /**
   * @param {number} start
   * @param {number} end
   */
  toggleLoop(start, end) {
    if (this.loop.peek()) {
      this.endLoop();
      this.audio.pause();
    } else {
      this.loop.value = { start, end };
      this.playFrom(start);
    }
  }

  endLoop() {
    this.loop.value = null;
  }

  // A place to begin at, once there is something to play.
  /** @param {number} ms */
  wish(ms) {
    if (this.ready) this.seek(ms);
    else this.wished = ms;
  }

  get ready() {
    return this.state.value === 'ready';
  }

  /** @param {number} ms */
  seek(ms) {
    if (!this.ready) return;
    this.audio.currentTime = Math.max(0, Math.min(ms, this.durationMs.value || ms)) / 1000;
    this.ms.value = Math.round(ms);
  }

  // Some browsers refuse to play before a click; then nothing is lost.
  play() {
    if (this.ready) this.audio.play().catch(() => this.stopped());
  }

  /** @param {number} ms */
  playFrom(ms) {
    this.seek(ms);
    this.play();
  }

  toggle() {
    if (this.audio.paused) this.play();
    else this.audio.pause();
  }

  /** @param {number} ms */
  skip(ms) {
    this.seek(Math.max(0, this.audio.currentTime * 1000 + ms));
  }

  /** @param {number} rate */
  setRate(rate) {
    this.audio.playbackRate = rate;
  }

  /** @param {number} volume 0 to 1 */
  setVolume(volume) {
    this.audio.muted = false;
    this.audio.volume = volume;
  }

  toggleMuted() {
    this.audio.muted = !this.audio.muted;
  }

  /** @param {boolean} skips */
  setSkipsPauses(skips) {
    this.skipsPauses.value = skips;
    remember('skip_pauses', skips);
  }

  /** @param {number} steps */
  faster(steps) {
    const place = RATES.indexOf(this.rate.value);
    const next = RATES[Math.max(0, Math.min(RATES.length - 1, (place < 0 ? 2 : place) + steps))];
    this.setRate(next);
  }

  close() {
    this.abort.abort();
    this.playing.value = false;
    this.audio.pause();
    this.audio.removeAttribute('src');
    this.audio.load(); // ends the download
  }
}
