/**
 * Constant folding: what a graph model computes of its weights alone (levels * scale + shift, of exports in 8 and 16 bits)
 * is computed once when the model is loaded, not at every run. The same float32 operations give the same numbers.
 */
import type { io } from "@tensorflow/tfjs-core";

interface GraphNode {
  readonly name: string;
  readonly op: string;
  readonly input?: readonly string[];
  readonly attr?: Readonly<Record<string, unknown>>;
}

interface Topology {
  readonly node: readonly GraphNode[];
}

interface Tensor {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

type Spec = io.WeightsManifestEntry;

/** Operations of two inputs, by whether they multiply; the others add. */
const FOLDED: Readonly<Record<string, { readonly multiplies: boolean }>> = {
  Mul: { multiplies: true },
  Add: { multiplies: false },
  AddV2: { multiplies: false },
};

/** Bytes of one stored value; a model with weights of another type is left as it is. */
const VALUE_BYTES: Readonly<Record<string, number>> = { float32: 4, int32: 4, bool: 1, float16: 2, uint16: 2, uint8: 1 };

/** The same model with every product and sum of two float32 weights as one weight. */
export function foldWeights(artifacts: io.ModelArtifacts): io.ModelArtifacts {
  const { weightSpecs, weightData, modelTopology } = artifacts;
  const nodes = (modelTopology as Topology | undefined)?.node;
  if (weightSpecs === undefined || !(weightData instanceof ArrayBuffer) || !Array.isArray(nodes)) return artifacts;
  const stored = storedBytes(weightSpecs, weightData);
  if (stored === null) return artifacts;
  const weights = new Map(weightSpecs.map((spec) => [spec.name, spec]));
  const folded = foldAll(nodes, (name) => tensorOf(weights.get(name), stored.get(name)));
  if (folded.size === 0) return artifacts;
  const left = withConstants(nodes, folded, artifacts.signature);
  const names = new Set(left.map(({ name }) => name));
  const kept = weightSpecs.filter(({ name }) => names.has(name));
  const made = [...folded].filter(([name]) => names.has(name));
  return {
    ...artifacts,
    modelTopology: { ...(modelTopology as Topology), node: left },
    weightSpecs: [...kept, ...made.map(([name, { shape }]): Spec => ({ name, shape: [...shape], dtype: "float32" }))],
    weightData: joined([...kept.map(({ name }) => stored.get(name)!), ...made.map(([, { values }]) => new Uint8Array(values.buffer))]),
  };
}

/** Each weight's bytes; null for what is not known here, or too short. */
function storedBytes(specs: readonly Spec[], data: ArrayBuffer): Map<string, Uint8Array> | null {
  const found = new Map<string, Uint8Array>();
  let at = 0;
  for (const { name, shape, dtype, quantization } of specs) {
    const bytes = sizeOf(shape) * (VALUE_BYTES[quantization?.dtype ?? dtype] ?? NaN);
    if (!(at + bytes <= data.byteLength)) return null;
    found.set(name, new Uint8Array(data, at, bytes));
    at += bytes;
  }
  return found;
}

/** A weight's values as TF.js decodes them (tfjs-core, io_utils.ts); null when it is not to be folded. */
function tensorOf(spec: Spec | undefined, bytes: Uint8Array | undefined): Tensor | null {
  if (spec?.dtype !== "float32" || bytes === undefined || spec.quantization?.dtype === "float16") return null;
  const { shape, quantization } = spec;
  const own = bytes.slice().buffer; // aligned
  if (quantization === undefined) return { shape, values: new Float32Array(own) };
  const { scale = 1, min = 0 } = quantization;
  const levels = quantization.dtype === "uint8" ? new Uint8Array(own) : new Uint16Array(own);
  const values = new Float32Array(levels.length);
  for (let at = 0; at < values.length; at++) values[at] = levels[at] * scale + min; // Float32Array.from is slow
  return { shape, values };
}

/** The values of all nodes that depend on weights alone, in whatever order the nodes are. */
function foldAll(nodes: readonly GraphNode[], weight: (name: string) => Tensor | null): Map<string, Tensor> {
  const folded = new Map<string, Tensor>();
  const constants = new Set(nodes.filter(({ op }) => op === "Const").map(({ name }) => name));
  const valueOf = (name: string): Tensor | null => folded.get(name) ?? (constants.has(name) ? weight(name) : null);
  let waiting = nodes.filter(({ op, input }) => op in FOLDED && input?.length === 2);
  for (let before = Infinity; waiting.length < before; ) {
    before = waiting.length;
    waiting = waiting.filter(({ name, op, input = [] }) => {
      if (!input.every((one) => constants.has(nodeOf(one)) || folded.has(nodeOf(one)))) return true;
      const [a, b] = input.map((one) => valueOf(nodeOf(one)));
      const made = a && b && elementwise(a, b, FOLDED[op].multiplies);
      if (made) folded.set(name, made);
      return false;
    });
  }
  return folded;
}

/** Product or sum of two tensors in float32; where a size of the one is 1 it goes with every place of the other. Null when
 * their shapes do not go together. */
function elementwise(a: Tensor, b: Tensor, multiplies: boolean): Tensor | null {
  const rank = Math.max(a.shape.length, b.shape.length);
  const [left, right] = [a, b].map(({ shape }) => [...Array<number>(rank - shape.length).fill(1), ...shape]);
  if (left.some((size, axis) => size !== right[axis] && size !== 1 && right[axis] !== 1)) return null;
  const shape = left.map((size, axis) => (size === 1 ? right[axis] : size));
  const values = new Float32Array(sizeOf(shape)); // storing rounds to float32, as each kernel does
  const [stepsA, stepsB] = [strides(left), strides(right)];
  const row = shape.at(-1) ?? 1;
  const [stepA, stepB] = [stepsA.at(-1) ?? 0, stepsB.at(-1) ?? 0];
  const place = new Array<number>(rank).fill(0);
  const [valuesA, valuesB] = [a.values, b.values];
  for (let start = 0, atA = 0, atB = 0; start < values.length; start += row) {
    for (let at = 0; at < row; at++) {
      const one = valuesA[atA + at * stepA];
      const other = valuesB[atB + at * stepB];
      values[start + at] = multiplies ? one * other : one + other;
    }
    for (let axis = rank - 2; axis >= 0; axis--) {
      atA += stepsA[axis];
      atB += stepsB[axis];
      if (++place[axis] < shape[axis]) break;
      atA -= stepsA[axis] * shape[axis];
      atB -= stepsB[axis] * shape[axis];
      place[axis] = 0;
    }
  }
  return { shape, values };
}

/** How far apart neighbours along each axis lie; 0 where the axis is repeated. */
function strides(shape: readonly number[]): number[] {
  return shape.map((size, axis) => (size === 1 ? 0 : sizeOf(shape.slice(axis + 1))));
}

/** The nodes with what was folded as constants, without those that nothing else asks for any more. */
function withConstants(
  nodes: readonly GraphNode[],
  folded: ReadonlyMap<string, Tensor>,
  signature: io.ModelArtifacts["signature"],
): GraphNode[] {
  const replaced = nodes.map((node) => (folded.has(node.name) ? constant(node.name, folded.get(node.name)!.shape) : node));
  const asked = new Set(replaced.flatMap(({ input = [] }) => input.map(nodeOf)));
  for (const { name } of Object.values((signature as { outputs?: Record<string, { name?: string }> } | undefined)?.outputs ?? {})) {
    if (name !== undefined) asked.add(nodeOf(name));
  }
  const were = new Set(nodes.filter(({ name }) => folded.has(name)).flatMap(({ input = [] }) => input.map(nodeOf)));
  return replaced.filter(({ name }) => asked.has(name) || !were.has(name));
}

function constant(name: string, shape: readonly number[]): GraphNode {
  const dim = shape.map((size) => ({ size: String(size) }));
  const tensor = { dtype: "DT_FLOAT", tensorShape: { dim } };
  return { name, op: "Const", attr: { dtype: { type: "DT_FLOAT" }, value: { tensor } } };
}

/** The node that an input names: "scale", "scale:0", or "^scale" where only the order counts. */
function nodeOf(input: string): string {
  return input.replace(/^\^/, "").split(":")[0];
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

function joined(parts: readonly Uint8Array[]): ArrayBuffer {
  const all = new Uint8Array(parts.reduce((total, { length }) => total + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all.buffer;
}
