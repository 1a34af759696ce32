// @ts-check
// What a visitor reads with a share link. The token stands behind the '#' of the address and is sent in a header only.
import { fetched, get } from '../api.js';
import { Model } from '../transcript/model.js';
import { Text } from '../transcript/text.js';

export const FORMS = ['txt', 'srt', 'vtt', 'md', 'docx'];
const TEN_MINUTES_MS = 600_000;

/** @param {string} token */
const headersOf = (token) => ({ Authorization: `Bearer ${token}` });

// Raises Problem. The answer sets a cookie with which the recording can be played.
/**
 * @param {string} token
 * @param {AbortSignal} signal
 * @returns {Promise<Shared>}
 */
export function opened(token, signal) {
  return get('v1/shared', {}, { headers: headersOf(token), signal });
}

// Raises Problem.
/**
 * @param {string} token
 * @param {string} form
 */
export async function fileOf(token, form) {
  const url = `v1/shared/transcript?format=${form}`;
  return (await fetched(url, { headers: headersOf(token), timeoutMs: TEN_MINUTES_MS })).blob();
}

/**
 * @param {Shared} shared
 * @param {string} token
 */
export function visitOf(shared, token) {
  const text = new SharedText(shared.id, token);
  text.speakers.value = shared.speakers ?? [];
  return new Model(shared.id, { text, recording: `v1/shared/${shared.id}`, mayEdit: false });
}

class SharedText extends Text {
  /**
   * @param {string} id
   * @param {string} token
   */
  constructor(id, token) {
    super(id);
    this.headers = headersOf(token);
  }

  // Visitors get no words: a sentence is one piece, and plays from its start.
  /**
   * @param {number} after
   * @returns {Promise<{ data: Sentence[], next: number | null }>}
   */
  async page(after) {
    const query = { after, limit: 1000 };
    const { data, next } = await get('v1/shared/sentences', query, {
      headers: this.headers,
      signal: this.abort.signal,
    });
    return { data: data.map((/** @type {any} */ sentence) => ({ ...sentence, confidence: 1, words: [] })), next };
  }
}
