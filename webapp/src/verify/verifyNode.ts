/**
 * Scores pixels in Node with the classifier of the page: for `cxr export verify` where there is no browser, and for tests.
 * Decoding and resizing are Python's there; what is proven is the model.
 *
 * Protocol. `node verify-node.mjs MODEL_FOLDER PIXELS HEIGHT WIDTH CHANNELS [--backend wasm|cpu] [--scale S] [--offset O]
 * [--maps]`
 *
 * PIXELS is a file of uint8 [images, HEIGHT, WIDTH, CHANNELS], without a header; "-" reads them from stdin, and answers
 * each image as it comes. The .wasm files lie in `wasm/` beside this script. On stdout, one JSON document a line: first
 * `{ "backend", "load_ms" }`, then for each image `{ "probabilities": […], "ms", "maps"?: { height, width, data } }`, last `{ "tensors": [before,
 * after] }`. A Problem goes to stderr as `CODE: message`, exit status 1; a wrong command line has status 2.
 */
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { Backend } from "../core/backends.js";
import { aliveTensors, Classifier } from "../core/classifier.js";
import { checkContract } from "../core/contract.js";
import { Problem } from "../core/problem.js";

const USAGE = "usage: verify-node.mjs MODEL_FOLDER PIXELS HEIGHT WIDTH CHANNELS [--backend B] [--scale S] [--offset O]";

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      backend: { type: "string", default: "wasm" },
      scale: { type: "string" },
      offset: { type: "string", default: "0" },
      maps: { type: "boolean", default: false },
    },
  });
  if (positionals.length !== 5) throw new TypeError(USAGE);
  const [folder, source] = positionals;
  const [height, width, channels] = positionals.slice(2).map(Number);
  const outside = values.scale !== undefined && { scale_inside_model: false, scale: +values.scale, offset: +values.offset };
  const contract = checkContract({ height, width, channels, ...outside });
  const size = height * width * channels;
  const start = performance.now();
  const classifier = await Classifier.load({
    files: async (name) => new Uint8Array(await readFile(join(folder, name))).buffer,
    contract,
    wasmFolder: join(dirname(fileURLToPath(import.meta.url)), "wasm") + "/",
    backends: [values.backend as Backend],
  });
  say({ backend: classifier.backend, load_ms: performance.now() - start });
  const before = aliveTensors();
  for await (const pixels of imagesOf(source, size)) {
    const began = performance.now();
    const { probabilities, maps } = await classifier.classify(pixels);
    const ms = performance.now() - began;
    say({
      probabilities: [...probabilities],
      ms,
      ...(values.maps && maps && { maps: { ...maps, data: [...maps.data] } }),
    });
  }
  say({ tensors: [before, aliveTensors()] });
}

/** One image's pixels after the other, each as soon as it is there. */
async function* imagesOf(source: string, size: number): AsyncGenerator<Uint8Array> {
  const stream: AsyncIterable<Uint8Array> = source === "-" ? process.stdin : createReadStream(source);
  let rest = new Uint8Array();
  for await (const part of stream) {
    const all = new Uint8Array(rest.length + part.length);
    all.set(rest);
    all.set(part, rest.length);
    let at = 0;
    for (; at + size <= all.length; at += size) yield all.subarray(at, at + size);
    rest = all.slice(at);
  }
}

function say(document: unknown): void {
  process.stdout.write(`${JSON.stringify(document)}\n`);
}

console.log = console.warn = console.info = () => undefined; // TF.js advertises its faster Node package
main().catch((error: unknown) => {
  const words = error instanceof Problem ? `${error.code}: ${error.message}` : String(error);
  process.stderr.write(`${words}\n`);
  process.exitCode = error instanceof TypeError ? 2 : 1;
});
