// Transcribes a file in every form with OpenAI's SDK, and asks for what is not there: node transcribe.mjs BASE_URL FILE
// Prints one JSON object with what came.
import { createReadStream } from "node:fs";
import OpenAI from "openai";

const [baseURL, path] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: process.env.API_KEY });
const create = (options) =>
  client.audio.transcriptions.create({ file: createReadStream(path), model: "whisper-1", ...options });

const seen = { forms: {}, events: [], models: [] };
seen.forms.json = (await create({})).text;
for (const form of ["text", "srt", "vtt"]) seen.forms[form] = await create({ response_format: form });
seen.forms.verbose_json = await create({
  response_format: "verbose_json",
  timestamp_granularities: ["word", "segment"],
});
for await (const event of await create({ stream: true })) seen.events.push(event);
for await (const model of client.models.list()) seen.models.push(model.id);
try {
  await create({ model: "gpt-9" });
} catch (error) {
  seen.error = { name: error.constructor.name, status: error.status, code: error.code, id: error.requestID };
}
console.log(JSON.stringify(seen));
