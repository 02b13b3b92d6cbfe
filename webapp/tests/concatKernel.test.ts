import assert from "node:assert/strict";
import { join } from "node:path";
import test from "node:test";
import { concat, engine, tensor, type Tensor } from "@tensorflow/tfjs-core";
import { startBackend } from "../src/core/backends.js";

const WASM = join(import.meta.dirname, "../../node_modules/@tensorflow/tfjs-backend-wasm/dist/");

/** Whole numbers, each once. */
function counted(shape: number[], first: number, dtype: "float32" | "int32" = "float32"): Tensor {
  const size = shape.reduce((product, length) => product * length, 1);
  return tensor(Array.from({ length: size }, (_, at) => first + at), shape, dtype);
}

/** Arrays of arrays joined along an axis, in the plainest way. */
function joined(parts: unknown[], axis: number): unknown {
  if (axis === 0) return parts.flat(1);
  return (parts[0] as unknown[]).map((_, at) => joined(parts.map((part) => (part as unknown[])[at]), axis - 1));
}

test("tensors are joined along each axis, in pieces short and long, without leaving any behind", async () => {
  assert.equal(await startBackend(WASM), "wasm");
  const shapes = [[2, 3, 4, 1], [1, 5, 6, 2], [3, 2, 2, 40], [1, 1, 7, 31]];
  for (const dtype of ["float32", "int32"] as const) {
    for (const [axis, shape] of [0, 1, 2, 3, -1].flatMap((axis) => shapes.map((shape) => [axis, shape] as const))) {
      const place = (axis + 4) % 4;
      const longer = shape.map((length, at) => (at === place ? length + 2 : length));
      const before = engine().memory().numTensors;
      const parts = [counted(shape, 0, dtype), counted(longer, 1e4, dtype), counted(shape, 2e4, dtype)];
      const made = concat(parts, axis);
      assert.equal(made.dtype, dtype);
      assert.deepEqual(await made.array(), joined(await Promise.all(parts.map((part) => part.array())), place));
      for (const one of [made, ...parts]) one.dispose();
      assert.equal(engine().memory().numTensors, before);
    }
  }
});
