// @ts-check
// Which transcripts an archive of the API does not have: it says so in a file inside.
import { Problem } from '../../api.js';

const ERRORS = 'errors.txt';
// Places in the records of a zip file, in bytes: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, 4.3
const END = { length: 22, size: 12, offset: 16 };
const ENTRY = { length: 46, size: 20, name: 28, extra: 30, comment: 32, offset: 42 };
const FILE = { length: 30, name: 26, extra: 28 };

// Answers id and reason of each. The archive is one that the API made: deflated, with no comment at its end.
/**
 * @param {Blob} archive
 * @returns {Promise<{ id: string, error: Problem }[]>}
 */
export async function leftOut(archive) {
  const packed = await packedFile(archive, ERRORS);
  if (!packed) return [];
  const text = await new Response(packed.stream().pipeThrough(new DecompressionStream('deflate-raw'))).text();
  return text
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [id, code, detail] = line.split('\t');
      return { id, error: new Problem({ code, detail }) };
    });
}

/**
 * @param {Blob} archive
 * @param {string} wanted
 */
async function packedFile(archive, wanted) {
  const end = await view(archive.slice(-END.length));
  const directory = end.getUint32(END.offset, true);
  const entries = await view(archive.slice(directory, directory + end.getUint32(END.size, true)));
  for (let at = 0; at < entries.byteLength;) {
    const field = (/** @type {number} */ place) => entries.getUint16(at + place, true);
    const name = new Uint8Array(entries.buffer, at + ENTRY.length, field(ENTRY.name));
    if (new TextDecoder().decode(name) === wanted) {
      const offset = entries.getUint32(at + ENTRY.offset, true);
      const head = await view(archive.slice(offset, offset + FILE.length));
      const start = offset + FILE.length + head.getUint16(FILE.name, true) + head.getUint16(FILE.extra, true);
      return archive.slice(start, start + entries.getUint32(at + ENTRY.size, true));
    }
    at += ENTRY.length + field(ENTRY.name) + field(ENTRY.extra) + field(ENTRY.comment);
  }
  return null;
}

/** @param {Blob} piece */
const view = async (piece) => new DataView(await piece.arrayBuffer());
