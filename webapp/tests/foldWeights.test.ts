import assert from "node:assert/strict";
import test from "node:test";
import type { io } from "@tensorflow/tfjs-core";
import { foldWeights } from "../src/core/foldWeights.js";

const levels = { name: "w/levels", shape: [2, 3], dtype: "float32", quantization: { dtype: "uint8", scale: 1, min: 0 } };
const scale = { name: "w/scale", shape: [1, 3], dtype: "float32" };
const shift = { name: "w/shift", shape: [1, 3], dtype: "float32" };
const other = { name: "axes", shape: [2], dtype: "int32" };
const floats = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);

/** x @ (levels * scale + shift), as the exports in 8 bits have it: the sum stands before the product. */
function model(more: object[] = []): io.ModelArtifacts {
  const constants = [levels, scale, shift, other].map(({ name }) => ({ name, op: "Const" }));
  const parts = [new Uint8Array([0, 1, 2, 253, 254, 255]), floats(0.1, 0.3, 0.7), floats(-1, 0.2, 3), new Uint8Array(8)];
  return {
    modelTopology: {
      node: [
        { name: "x", op: "Placeholder" },
        { name: "w", op: "AddV2", input: ["w/scaled", "w/shift"] },
        ...constants,
        { name: "w/scaled", op: "Mul", input: ["w/levels", "w/scale:0"] },
        { name: "y", op: "MatMul", input: ["x", "w"] },
        { name: "mean", op: "Mean", input: ["y", "axes"] },
        ...more,
      ],
      versions: { producer: 1 },
    },
    signature: { outputs: { mean: { name: "mean:0" } } },
    weightSpecs: [levels, scale, shift, other] as io.WeightsManifestEntry[],
    weightData: new Uint8Array(parts.flatMap((part) => [...part])).buffer,
  } as unknown as io.ModelArtifacts;
}

const namesOf = (artifacts: io.ModelArtifacts): string[] => (artifacts.modelTopology as { node: { name: string }[] }).node.map(({ name }) => name);

test("levels, scale and shift become one weight of float32 arithmetic, and the rest stays", () => {
  const folded = foldWeights(model());
  assert.deepEqual(namesOf(folded), ["x", "w", "axes", "y", "mean"]);
  assert.deepEqual(folded.weightSpecs, [other, { name: "w", shape: [2, 3], dtype: "float32" }]);
  const found = new Float32Array(folded.weightData as ArrayBuffer, 8);
  const { fround } = Math;
  const [scales, shifts] = [Float32Array.of(0.1, 0.3, 0.7), Float32Array.of(-1, 0.2, 3)];
  const wanted = [0, 1, 2, 253, 254, 255].map((level, at) => fround(fround(level * scales[at % 3]) + shifts[at % 3]));
  assert.deepEqual([...found], wanted);
});

test("a weight that something else uses too is kept", () => {
  const folded = foldWeights(model([{ name: "z", op: "Relu", input: ["w/scale"] }]));
  assert.deepEqual(namesOf(folded), ["x", "w", "w/scale", "axes", "y", "mean", "z"]);
  assert.deepEqual(folded.weightSpecs?.map(({ name }) => name), ["w/scale", "axes", "w"]);
});

test("what depends on the image is left", () => {
  const given = model();
  const { node } = given.modelTopology as { node: { name: string; input?: string[] }[] };
  node.find(({ name }) => name === "w/scaled")!.input = ["w/levels", "x"];
  assert.equal(foldWeights(given), given);
});

test("a model with weights of another type is left as it is", () => {
  const given = model();
  const words = { name: "words", shape: [1], dtype: "string" } as io.WeightsManifestEntry;
  const more = { ...given, weightSpecs: [words, ...given.weightSpecs!] };
  assert.equal(foldWeights(more), more);
});
