/** VOI LUT and window of a DICOM image: PS3.3, C.11.2, in the order of operations of pydicom's `apply_windowing`. */
import type { DicomElements } from "./dicomFile.js";
import { Problem } from "./problem.js";

const VOI_LUT = 0x00283010;
const MODALITY_LUT = 0x00283000;
const LUT_DESCRIPTOR = 0x00283002;
const LUT_DATA = 0x00283006;
const CENTER = 0x00281050;
const WIDTH = 0x00281051;
const INTERCEPT = 0x00281052;
const SLOPE = 0x00281053;
const FUNCTION = 0x00281056;
/** Far outside any pixel value: what a window makes of them are the ends of its range. */
const FAR = 1e12;

/** A table of shades (after the modality LUT), which of them occur in the image, and the bits of a stored value. */
export interface Shades {
  readonly values: Float64Array;
  readonly present: Uint8Array;
  readonly storedBits: number;
}

/** The shades as shown, 0 to 1; null when the file has neither LUT nor window; "useless" when they cannot be used. */
export function windowed(shades: Shades, elements: DicomElements): Float64Array | "useless" | null {
  const lut = elements.elements.get(VOI_LUT)?.items[0];
  const descriptor = lut?.shorts(LUT_DESCRIPTOR, elements.isSigned);
  const data = lut?.shorts(LUT_DATA);
  if (descriptor && data) return throughLut(shades.values, descriptor, data);
  try {
    const [center, width] = [elements.decimal(CENTER), elements.decimal(WIDTH)];
    if (center === null || width === null) return null;
    return throughWindow(shades, elements, center, width);
  } catch (error) {
    if (error instanceof Problem) return "useless"; // no number
    throw error;
  }
}

function throughLut(values: Float64Array, descriptor: number[], data: number[]): Float64Array | "useless" | null {
  const [entries, first, bits] = descriptor;
  const count = entries & 0xffff || 65536;
  const known = bits === 8 || (bits >= 10 && bits <= 16);
  if (!known || data.length < count || (bits === 8 && data.some((value) => value > 255))) return "useless";
  const every = data.slice(0, count);
  const least = every.reduce((a, b) => Math.min(a, b));
  const most = every.reduce((a, b) => Math.max(a, b));
  if (most === least) return null;
  return values.map((value) => {
    const inside = Math.min(first + count - 1, Math.max(first, roundHalfEven(value)));
    return (every[inside - first] - least) / (most - least);
  });
}

function throughWindow(shades: Shades, elements: DicomElements, center: number, width: number): Float64Array | "useless" {
  const kind = (elements.text(FUNCTION) ?? "LINEAR").toUpperCase();
  const [least, most] = outputRange(elements, shades.storedBits);
  const range = most - least;
  let show: (value: number) => number;
  if (kind === "LINEAR" || kind === "LINEAR_EXACT") {
    if (kind === "LINEAR" ? width < 1 : width <= 0) return "useless";
    const middle = kind === "LINEAR" ? center - 0.5 : center;
    const extent = kind === "LINEAR" ? width - 1 : width;
    show = (value) => {
      if (value <= middle - extent / 2) return least;
      if (value > middle + extent / 2) return most;
      return ((value - middle) / extent + 0.5) * range + least;
    };
  } else if (kind === "SIGMOID" && width > 0) {
    show = (value) => range / (1 + Math.exp((-4 * (value - center)) / width)) + least;
  } else {
    return "useless";
  }
  const [below, above] = [show(-FAR), show(FAR)];
  return shades.values.map((value) => (show(value) - below) / (above - below));
}

/** The range that the window's output is spread over: that of the values, whether they occur or not. */
function outputRange(elements: DicomElements, storedBits: number): [number, number] {
  const lut = elements.elements.get(MODALITY_LUT)?.items[0];
  const bits = lut?.shorts(LUT_DESCRIPTOR)?.[2];
  let [least, most] = [0, 2 ** storedBits - 1];
  if (bits !== undefined) most = 2 ** bits - 1;
  else if (elements.isSigned) [least, most] = [-(2 ** (storedBits - 1)), 2 ** (storedBits - 1) - 1];
  const [slope, intercept] = [elements.decimal(SLOPE), elements.decimal(INTERCEPT)];
  if (slope === null || intercept === null) return [least, most];
  return [least * slope + intercept, most * slope + intercept];
}

function roundHalfEven(value: number): number {
  const rounded = Math.floor(value + 0.5);
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}
