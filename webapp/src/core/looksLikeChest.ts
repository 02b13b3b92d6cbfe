/**
 * Whether an image looks like the chest X-rays that the model was trained on: a simple check, no safeguard. Its Python
 * twin, which finds the parameters and says what each measure is, is cxr/webapp/gate.py; both give the same numbers.
 */
import type { Contract, GateParameters } from "./contract.js";
import { grey, type Planes } from "./preprocess.js";
import { resize } from "./resize.js";

export interface Measures {
  /** Mean over the file's pixels of the largest minus the smallest channel, 0..255. */
  readonly colour: number;
  /** Standard deviation of the thumbnail, 0..255. */
  readonly contrast: number;
  /** What the principal components of the training thumbnails leave over. */
  readonly error: number;
  /** Mahalanobis's among them, divided by the root of their number. */
  readonly distance: number;
  /** How far from the same upside down. */
  readonly upright: number;
}

export interface Likeness extends Measures {
  readonly looksLikeChest: boolean;
}

export interface Gate {
  readonly parameters: GateParameters;
  readonly mean: Float32Array;
  readonly directions: Float32Array;
  readonly deviations: Float32Array;
  readonly upright: Float32Array;
}

export function readGate(parameters: GateParameters): Gate {
  return {
    parameters,
    mean: floats(parameters.mean),
    directions: floats(parameters.directions),
    deviations: floats(parameters.deviations),
    upright: floats(parameters.upright),
  };
}

/** `pixels` is what preprocess() made of `image` under `contract`. */
export function looksLikeChest(image: Planes, pixels: Uint8Array, contract: Contract, gate: Gate): Likeness {
  const { parameters } = gate;
  const found = measure(image, pixels, contract, gate);
  const looksLikeChest =
    found.colour <= parameters.most_colour &&
    found.contrast >= parameters.least_contrast &&
    found.error <= parameters.most_error &&
    found.distance <= parameters.most_distance &&
    found.upright >= parameters.least_upright;
  return { ...found, looksLikeChest };
}

export function measure(image: Planes, pixels: Uint8Array, contract: Contract, gate: Gate): Measures {
  const { size } = gate.parameters;
  const thumbnail = resize(greyOf(pixels, contract), contract.height, contract.width, size, size);
  const values = Float64Array.from(thumbnail);
  const mean = sum(values) / values.length;
  for (let at = 0; at < values.length; at++) values[at] -= mean;
  const length = Math.sqrt(sum(values.map((value) => value * value)));
  const contrast = length / size;
  const unit = values.map((value) => (length > 0 ? value / length : 0));
  const upright = sum(unit.map((value, at) => value * gate.upright[at]));
  return { colour: colourOf(image), contrast, ...against(unit, gate), upright };
}

function against(unit: Float64Array, { mean, directions, deviations }: Gate): { error: number; distance: number } {
  const count = deviations.length;
  let [explained, squares] = [0, 0];
  const centred = unit.map((value, at) => value - mean[at]);
  const left = centred.slice();
  for (let component = 0; component < count; component++) {
    const direction = directions.subarray(component * unit.length, (component + 1) * unit.length);
    let along = 0;
    for (let at = 0; at < unit.length; at++) along += centred[at] * direction[at];
    for (let at = 0; at < unit.length; at++) left[at] -= along * direction[at];
    explained += (along / deviations[component]) ** 2;
  }
  for (const value of left) squares += value * value;
  return { error: Math.sqrt(squares), distance: Math.sqrt(explained / count) };
}

/** The luma of interleaved pixels, by the whole numbers of preprocess.ts. */
function greyOf(pixels: Uint8Array, { height, width, channels }: Contract): Uint8Array {
  if (channels === 1) return pixels;
  const planes = [0, 1, 2].map((channel) => pixels.filter((_, at) => at % 3 === channel));
  return grey({ height, width, planes }).planes[0] as Uint8Array;
}

function colourOf({ planes }: Planes): number {
  if (planes.length === 1) return 0;
  const [red, green, blue] = planes;
  let spread = 0;
  for (let at = 0; at < red.length; at++) {
    spread += Math.max(red[at], green[at], blue[at]) - Math.min(red[at], green[at], blue[at]);
  }
  return spread / red.length;
}

function sum(values: Float64Array): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

function floats(base64: string): Float32Array {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}
