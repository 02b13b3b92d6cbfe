/**
 * A bare page without a user interface, which does what the page does to an image and says every step's result: for
 * `cxr export verify` and for tests, driven from outside.
 *
 * Protocol. Open verify.html (any origin; the folder `wasm/` is its neighbour: ../wasm/), wait for `window.cxrVerify`,
 * then call it, as often as wanted:
 *
 *     await cxrVerify(files, contract, modelUrl, { pixels: true, backends: ["wasm"], gate: {…} | null })
 *
 * Whoever drives it through Playwright's `page.route` should not await that call in one long `evaluate` (seen to stand
 * still with many large files) but keep its promise in the page and ask for the result again and again.
 *
 * - `files`: URLs of image files (JPEG, PNG, DICOM, …), fetched one after the other.
 * - `contract`: the bundle's `preprocessing`, as bundle.json has it.
 * - `modelUrl`: URL of the folder with model.json; null scores nothing.
 * - options, all optional: `pixels` adds the preprocessed pixels as base64; `backends` are engines to try before
 *   WebAssembly; `gate` the parameters of looksLikeChest.ts.
 *
 * The answer is JSON: `{ backend, load_ms, tensors: [before, after], images: [ … ] }`, for each file either
 * `{ file, error: { code, message } }` or `{ file, kind, width, height, notes, sha256 (of the pixels), pixels?,
 * probabilities?, maps?: { height, width, data }, measures?, decode_ms, preprocess_ms, classify_ms }`.
 */
import { type Backend } from "../core/backends.js";
import { aliveTensors, Classifier } from "../core/classifier.js";
import { checkContract, type Contract, type GateParameters } from "../core/contract.js";
import { decode } from "../core/decode.js";
import { looksLikeChest, readGate } from "../core/looksLikeChest.js";
import { filesAt } from "../core/modelFiles.js";
import { preprocess } from "../core/preprocess.js";
import { Problem } from "../core/problem.js";
import { sha256 } from "../core/sha256.js";

interface Options {
  readonly pixels?: boolean;
  readonly backends?: readonly Backend[];
  readonly gate?: GateParameters | null;
}

type Report = Record<string, unknown>;

const WASM_FOLDER = new URL("../wasm/", document.baseURI).href;
let loaded: { readonly key: string; readonly classifier: Classifier } | null = null;

async function cxrVerify(
  files: readonly string[],
  contract: unknown,
  modelUrl: string | null,
  options: Options = {},
): Promise<Report> {
  const checked = checkContract(contract);
  const start = performance.now();
  const classifier = modelUrl === null ? null : await classifierFor(modelUrl, checked, options.backends ?? []);
  const loadMs = performance.now() - start;
  const tensors = () => (classifier === null ? 0 : aliveTensors());
  const before = tensors();
  const images: Report[] = [];
  for (const file of files) images.push(await reportOf(file, checked, classifier, options));
  return { backend: classifier?.backend ?? null, load_ms: loadMs, tensors: [before, tensors()], images };
}

async function classifierFor(url: string, contract: Contract, backends: readonly Backend[]): Promise<Classifier> {
  const key = JSON.stringify([url, contract, backends]);
  if (loaded?.key === key) return loaded.classifier;
  loaded?.classifier.dispose();
  loaded = null;
  const files = filesAt(url);
  loaded = { key, classifier: await Classifier.load({ files, contract, wasmFolder: WASM_FOLDER, backends }) };
  return loaded.classifier;
}

async function reportOf(
  file: string,
  contract: Contract,
  classifier: Classifier | null,
  options: Options,
): Promise<Report> {
  const bytes = new Uint8Array(await (await fetch(file)).arrayBuffer());
  try {
    const times = [performance.now()];
    const image = await decode(bytes);
    times.push(performance.now());
    const pixels = preprocess(image, contract);
    times.push(performance.now());
    const scored = await classifier?.classify(pixels);
    times.push(performance.now());
    const { kind, width, height, notes } = image;
    return {
      ...{ file, kind, width, height, notes, sha256: hex(await sha256(pixels)) },
      ...(options.pixels && { pixels: base64(pixels) }),
      ...(options.gate && { measures: looksLikeChest(image, pixels, contract, readGate(options.gate)) }),
      ...(scored && { probabilities: [...scored.probabilities] }),
      ...(scored?.maps && { maps: { ...scored.maps, data: [...scored.maps.data] } }),
      ...{ decode_ms: times[1] - times[0], preprocess_ms: times[2] - times[1], classify_ms: times[3] - times[2] },
    };
  } catch (error) {
    if (error instanceof Problem) return { file, error: { code: error.code, message: error.message } };
    throw error;
  }
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function base64(bytes: Uint8Array): string {
  let letters = "";
  for (let at = 0; at < bytes.length; at += 0x8000) letters += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(letters);
}

Object.assign(window, { cxrVerify });
