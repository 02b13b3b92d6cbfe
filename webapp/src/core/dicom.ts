/**
 * A DICOM image as a viewer shows it: modality LUT, then VOI LUT or window, then the whole range of 8 bits; MONOCHROME1
 * inverted. The same numbers as the Python side's `cxr data import-dicom` (rendering.py there), which follows PS3.3 C.11.
 */
import type { BrowserDecoder } from "./browserDecode.js";
import { refuseTooLarge } from "./decode.js";
import { type DicomElements, type DicomFile, JPEG_BASELINE, readDicom } from "./dicomFile.js";
import { type Shades, windowed } from "./dicomWindow.js";
import { grey, type Planes } from "./preprocess.js";
import { Problem } from "./problem.js";
import type { NoteCode } from "../strings.js";

const FRAMES = 0x00280008;
const SAMPLES = 0x00280002;
const PHOTOMETRIC = 0x00280004;
const PLANAR = 0x00280006;
const ROWS = 0x00280010;
const COLUMNS = 0x00280011;
const ALLOCATED = 0x00280100;
const STORED = 0x00280101;
const HIGH = 0x00280102;
const PADDING = 0x00280120;
const PADDING_LIMIT = 0x00280121;
const MODALITY_LUT = 0x00283000;
const LUT_DESCRIPTOR = 0x00283002;
const LUT_DATA = 0x00283006;
const INTERCEPT = 0x00281052;
const SLOPE = 0x00281053;

type Picture = Planes & { readonly notes: readonly NoteCode[] };

interface Layout {
  readonly height: number;
  readonly width: number;
  readonly samples: number;
  readonly allocated: number;
  readonly stored: number;
  readonly photometric: string;
}

/** The picture of a single-frame DICOM image: one plane of 0..255. Throws Problem. */
export async function decodeDicom(bytes: Uint8Array, browser: BrowserDecoder): Promise<Picture> {
  const file = readDicom(bytes);
  const layout = layoutOf(file);
  const planes = file.syntax === JPEG_BASELINE ? await jpegPlanes(file, layout, browser) : storedPlanes(file, layout);
  if (planes.length === 3) return coloured(planes, layout);
  return shown(planes[0], layout, file.elements);
}

function layoutOf({ elements, pixels, fragments }: DicomFile): Layout {
  const [height, width] = [elements.short(ROWS) ?? 0, elements.short(COLUMNS) ?? 0];
  if (!height || !width || (pixels === null && fragments.length === 0)) throw new Problem("no-pixels");
  const frames = elements.decimal(FRAMES) ?? 1;
  if (frames > 1) throw new Problem("several-frames", String(frames));
  refuseTooLarge({ width, height });
  const samples = elements.short(SAMPLES) ?? 1;
  const allocated = elements.short(ALLOCATED) ?? 0;
  const stored = elements.short(STORED) ?? 0;
  const photometric = elements.text(PHOTOMETRIC) ?? "";
  if (allocated !== 8 && allocated !== 16) throw new Problem("unsupported-pixels", `${allocated} bits a pixel`);
  if (stored < 1 || stored > allocated) throw new Problem("damaged", "DICOM");
  const high = elements.short(HIGH);
  if (high !== null && high !== stored - 1) {
    throw new Problem("unsupported-pixels", "its values do not begin at the lowest bit");
  }
  const isGrey = samples === 1 && ["MONOCHROME1", "MONOCHROME2"].includes(photometric);
  const isColour = samples === 3 && (photometric === "RGB" || fragments.length > 0);
  if (!isGrey && !isColour) throw new Problem("unsupported-pixels", `colours of kind ${photometric || "unknown"}`);
  return { height, width, samples, allocated, stored, photometric };
}

/** The stored values of each plane, sign and unused bits taken care of. */
function storedPlanes({ elements, pixels }: DicomFile, layout: Layout): Int32Array[] {
  const { height, width, samples, allocated, stored } = layout;
  const count = height * width;
  const bytes = (count * samples * allocated) / 8;
  if (pixels === null || pixels.length < bytes) throw new Problem("damaged", "DICOM");
  const values = allocated === 8 ? pixels : new Uint16Array(pixels.slice(0, bytes).buffer);
  const unused = 32 - stored;
  const byPlane = elements.short(PLANAR) === 1;
  return Array.from({ length: samples }, (_, sample) => {
    const plane = new Int32Array(count);
    const [start, step] = byPlane ? [sample * count, 1] : [sample, samples];
    for (let at = 0, from = start; at < count; at++, from += step) {
      plane[at] = elements.isSigned ? (values[from] << unused) >> unused : (values[from] << unused) >>> unused;
    }
    return plane;
  });
}

async function jpegPlanes(file: DicomFile, layout: Layout, browser: BrowserDecoder): Promise<Int32Array[]> {
  const jpeg = new Uint8Array(await new Blob([...file.fragments] as BlobPart[]).arrayBuffer());
  const picture = await browser(jpeg, "JPEG");
  if (picture.height !== layout.height || picture.width !== layout.width) throw new Problem("damaged", "DICOM");
  const planes = picture.planes.map((plane) => Int32Array.from(plane));
  return layout.samples === 3 && planes.length === 1 ? [planes[0], planes[0], planes[0]] : planes;
}

function coloured(planes: readonly Int32Array[], { height, width, allocated, stored }: Layout): Picture {
  const shift = allocated === 8 ? 0 : Math.max(0, stored - 8);
  const bytes = planes.map((plane) => Uint8Array.from(plane, (value) => value >> shift));
  const picture = grey({ height, width, planes: bytes });
  if (picture.planes[0].every((value) => value === picture.planes[0][0])) throw new Problem("flat");
  return { ...picture, notes: ["colour"] };
}

function shown(stored: Int32Array, layout: Layout, elements: DicomElements): Picture {
  const { height, width, photometric } = layout;
  let [low, high] = [stored[0], stored[0]];
  for (const value of stored) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const padding = paddingOf(elements, layout);
  const values = Float64Array.from({ length: high - low + 1 }, (_, at) => low + at);
  const isPadding = (value: number) => padding !== null && value >= padding[0] && value <= padding[1];
  const present = new Uint8Array(values.length);
  for (const value of stored) present[value - low] = isPadding(value) ? 0 : 1;
  const shades = { values: modality(values, elements), present, storedBits: layout.stored };
  const { table, note } = tableOf(shades, elements);
  for (let at = 0; at < table.length; at++) {
    if (photometric === "MONOCHROME1") table[at] = 255 - table[at];
    if (isPadding(values[at])) table[at] = 0;
  }
  const plane = new Uint8Array(stored.length);
  for (let at = 0; at < plane.length; at++) plane[at] = table[stored[at] - low];
  return { height, width, planes: [plane], notes: note };
}

/** What each stored value is shown as: through VOI LUT or window, else from the smallest to the largest. */
function tableOf(shades: Shades, elements: DicomElements): { table: Uint8Array; note: NoteCode[] } {
  const [least, most] = rangeOf(shades.values, shades.present);
  if (!(most > least) || !shades.values.every(Number.isFinite)) throw new Problem("flat");
  const note: NoteCode[] = [];
  const through = windowed(shades, elements);
  if (through !== null) {
    const table = through === "useless" ? null : toBytes(through);
    if (table !== null) {
      const [darkest, lightest] = rangeOf(table, shades.present);
      if (lightest > darkest) return { table, note };
    }
    note.push("bad-window");
  }
  const table = toBytes(shades.values.map((value) => (value - least) / (most - least)));
  if (table === null) throw new Problem("flat");
  return { table, note };
}

/** The modality LUT, or slope and intercept: PS3.3, C.11.1. */
function modality(values: Float64Array, elements: DicomElements): Float64Array {
  const lut = elements.elements.get(MODALITY_LUT)?.items[0];
  if (lut !== undefined) {
    const descriptor = lut.shorts(LUT_DESCRIPTOR, elements.isSigned);
    const data = lut.shorts(LUT_DATA);
    const count = descriptor && (descriptor[0] & 0xffff || 65536);
    if (!descriptor || !data || !count || data.length < count || ![8, 16].includes(descriptor[2])) {
      throw new Problem("damaged", "DICOM");
    }
    return values.map((value) => data[Math.min(count - 1, Math.max(0, value - descriptor[1]))]);
  }
  const [slope, intercept] = [elements.decimal(SLOPE), elements.decimal(INTERCEPT)];
  return slope === null || intercept === null ? values : values.map((value) => value * slope + intercept);
}

function paddingOf(elements: DicomElements, { allocated }: Layout): [number, number] | null {
  const number = (tag: number): number | null => {
    const value = elements.shorts(tag, elements.isSigned)?.[0] ?? null;
    if (value === null || !elements.isSigned) return value;
    return value >= 1 << (allocated - 1) ? value - (1 << allocated) : value; // often written as unsigned
  };
  const first = number(PADDING);
  if (first === null) return null;
  const last = number(PADDING_LIMIT) ?? first;
  return [Math.min(first, last), Math.max(first, last)];
}

function rangeOf(values: Float64Array | Uint8Array, present: Uint8Array): [number, number] {
  let [least, most] = [Infinity, -Infinity];
  for (let at = 0; at < values.length; at++) {
    if (present[at] === 0) continue;
    least = Math.min(least, values[at]);
    most = Math.max(most, values[at]);
  }
  return [least, most];
}

/** 0..1 to 0..255, half to even; null when a value is not finite. */
function toBytes(shades: Float64Array): Uint8Array | null {
  const bytes = new Uint8Array(shades.length);
  for (let at = 0; at < bytes.length; at++) {
    if (!Number.isFinite(shades[at])) return null;
    const value = Math.min(1, Math.max(0, shades[at])) * 255;
    const rounded = Math.floor(value + 0.5);
    bytes[at] = rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
  }
  return bytes;
}
