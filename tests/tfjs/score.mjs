// Usage: node score.mjs NODE_MODULES_FOLDER MODEL_FOLDER INPUTS
// Scores a graph model on INPUTS (little-endian float32, as many images as there are) and prints
// {"inputs": [...], "outputs": [...], "scores": [[...], ...], "maps": [[...], ...]} on stdout (maps: a second output, flat).
import { createRequire } from "node:module";
import { readFile } from "node:fs/promises";
import path from "node:path";

const [modules, folder, inputsFile] = process.argv.slice(2);
const require = createRequire(path.join(path.resolve(modules), "package.json"));
console.log = console.warn = console.info = () => {}; // TF.js advertises its faster Node package
const tf = require("@tensorflow/tfjs");

async function load() {
  const json = JSON.parse(await readFile(path.join(folder, "model.json"), "utf8"));
  const group = json.weightsManifest[0];
  const shards = await Promise.all(group.paths.map((name) => readFile(path.join(folder, name))));
  const bytes = Buffer.concat(shards);
  const weightData = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
  return tf.loadGraphModel({
    load: async () => ({
      modelTopology: json.modelTopology,
      format: json.format,
      signature: json.signature,
      userDefinedMetadata: json.userDefinedMetadata,
      weightSpecs: group.weights,
      weightData,
    }),
  });
}

const model = await load();
const raw = await readFile(inputsFile);
const values = new Float32Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.length));
const shape = [1, ...model.inputs[0].shape.slice(1)];
const size = shape.reduce((a, b) => a * b, 1);
const scores = [];
const maps = [];
const names = model.outputs.map((t) => t.name);
for (let start = 0; start < values.length; start += size) {
  const image = tf.tensor(values.slice(start, start + size), shape);
  const outputs = [model.execute({ [model.inputs[0].name]: image }, names)].flat();
  scores.push(Array.from(await outputs[0].data()));
  if (outputs.length > 1) maps.push(Array.from(await outputs[1].data()));
}
process.stdout.write(
  JSON.stringify({ inputs: model.inputs.map((t) => t.name), outputs: names, scores, maps }) + "\n",
);
