/**
 * TF.js's `Concat` in WebAssembly, made fast for short pieces. Its own makes a view for each piece that it copies: for a
 * grey image made three channels, pieces of one value, that takes as long as all the other layers of a small net.
 */
import { type KernelConfig, type KernelFunc, type TensorInfo, util } from "@tensorflow/tfjs-core";
import { concatConfig } from "@tensorflow/tfjs-backend-wasm/dist/kernels/Concat";
import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm/dist/backend_wasm";

/** Pieces with fewer values are copied value by value. */
const SHORT = 32;

interface Concat {
  readonly inputs: readonly TensorInfo[];
  readonly backend: BackendWasm;
  readonly attrs: { readonly axis: number };
}

function concat(args: Concat): TensorInfo | TensorInfo[] {
  const { inputs, backend, attrs } = args;
  const [{ shape, dtype }] = inputs;
  const [axis] = util.parseAxisParam(attrs.axis, shape);
  const pieces = inputs.map((input) => util.sizeFromShape(input.shape.slice(axis)));
  if (dtype === "string" || pieces.some((length) => length === 0 || length >= SHORT)) {
    return concatConfig.kernelFunc(args as unknown as Parameters<KernelFunc>[0]);
  }
  const whole = pieces.reduce((sum, length) => sum + length, 0);
  const count = util.sizeFromShape(shape.slice(0, axis));
  const along = inputs.reduce((sum, input) => sum + input.shape[axis], 0);
  const made = backend.makeOutput([...shape.slice(0, axis), along, ...shape.slice(axis + 1)], dtype);
  const target = backend.typedArrayFromHeap(made);
  let start = 0;
  inputs.forEach((input, at) => {
    const source = backend.typedArrayFromHeap(input);
    const length = pieces[at];
    for (let piece = 0, from = 0; piece < count; piece++) {
      for (let to = piece * whole + start, end = to + length; to < end; to++, from++) target[to] = source[from];
    }
    start += length;
  });
  return made;
}

export const concatKernel: KernelConfig = { ...concatConfig, kernelFunc: concat as unknown as KernelFunc };
