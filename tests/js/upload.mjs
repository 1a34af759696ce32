// Uploads a file with tus-js-client: node upload.mjs ENDPOINT FILE CHUNK_BYTES DIE_AFTER_BYTES [UPLOAD_URL]
// Prints the upload's address as soon as it has one. Kills itself, as a power cut would, once so many bytes are sent.
import { createReadStream, statSync } from "node:fs";
import { Upload } from "tus-js-client";

const [endpoint, path, chunkBytes, dieAfter, uploadUrl] = process.argv.slice(2);
const headers = process.env.API_KEY ? { Authorization: `Bearer ${process.env.API_KEY}` } : {};

const upload = new Upload(createReadStream(path), {
  endpoint,
  uploadUrl: uploadUrl || null,
  headers,
  uploadSize: statSync(path).size,
  chunkSize: Number(chunkBytes),
  retryDelays: [0, 200, 500, 1000, 2000, 4000, 8000],
  metadata: { filename: "meeting.wav", filetype: "audio/wav" },
  onUploadUrlAvailable: () => console.log(upload.url),
  onProgress: (sent) => {
    if (Number(dieAfter) > 0 && sent >= Number(dieAfter)) process.kill(process.pid, "SIGKILL");
  },
  onError: (error) => {
    console.error(String(error));
    process.exit(1);
  },
  onSuccess: () => process.exit(0),
});
upload.start();
