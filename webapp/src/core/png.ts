/**
 * Every kind of PNG, number for number as Pillow has it. The browser's own decoder keeps 8 of 16 bits, obeys gamma and
 * colour chunks, and its canvas loses the colour of transparent pixels; the contract ignores transparency.
 */
import { text, viewOf } from "./headers.js";
import type { Planes } from "./preprocess.js";
import { Problem } from "./problem.js";

/** 16-bit grey is brought to 0..255 by this divisor (65535 / 255). */
const SIXTEEN_BIT_DIVISOR = 257;
const SAMPLES: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };
/** Adam7: first column, first row, column step, row step of each pass. */
const PASSES = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;
const WHOLE = [[0, 0, 1, 1]] as const;

interface Header {
  readonly width: number;
  readonly height: number;
  readonly depth: number;
  readonly colourType: number;
  readonly samples: number;
  readonly interlaced: boolean;
}

interface Part {
  readonly left: number;
  readonly top: number;
  readonly stepX: number;
  readonly stepY: number;
  readonly columns: number;
  readonly rows: number;
  readonly rowBytes: number;
}

/** The image in a PNG file. Throws Problem("damaged"). */
export async function decodePng(bytes: Uint8Array): Promise<Planes> {
  const { header, palette, data } = chunksOf(bytes);
  const parts = partsOf(header);
  const length = parts.reduce((sum, part) => sum + part.rows * (part.rowBytes + 1), 0);
  const raw = await inflate(data, length);
  const samples = unpack(raw, header, parts);
  return { width: header.width, height: header.height, planes: planesOf(samples, header, palette) };
}

function chunksOf(bytes: Uint8Array): { header: Header; palette: Uint8Array; data: Uint8Array[] } {
  const view = viewOf(bytes);
  const data: Uint8Array[] = [];
  let header: Header | null = null;
  let palette: Uint8Array = new Uint8Array(0);
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    const body = bytes.subarray(at + 8, at + 8 + length);
    const name = text(bytes, at + 4, 4);
    if (name === "IHDR" && length >= 13) header = headerOf(viewOf(body));
    if (name === "PLTE") palette = body;
    if (name === "IDAT") data.push(body);
    if (name === "IEND") break;
    at += 12 + length;
  }
  if (header === null || data.length === 0) throw new Problem("damaged", "PNG");
  return { header, palette, data };
}

function headerOf(view: DataView): Header {
  const [depth, colourType, compression, filter, interlace] = [8, 9, 10, 11, 12].map((at) => view.getUint8(at));
  const depths: Readonly<Record<number, number[]>> = { 0: [1, 2, 4, 8, 16], 2: [8, 16], 3: [1, 2, 4, 8], 4: [8, 16], 6: [8, 16] };
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  if (!depths[colourType]?.includes(depth) || compression !== 0 || filter !== 0 || interlace > 1 || !width || !height) {
    throw new Problem("damaged", "PNG");
  }
  return { width, height, depth, colourType, samples: SAMPLES[colourType], interlaced: interlace === 1 };
}

function partsOf(header: Header): Part[] {
  const parts = (header.interlaced ? PASSES : WHOLE).map(([left, top, stepX, stepY]) => {
    const columns = Math.ceil((header.width - left) / stepX);
    const rows = Math.ceil((header.height - top) / stepY);
    return { left, top, stepX, stepY, columns, rows, rowBytes: Math.ceil((columns * header.samples * header.depth) / 8) };
  });
  return parts.filter(({ columns, rows }) => columns > 0 && rows > 0);
}

/** The first `length` bytes of the inflated data: a file that inflates to more is read no further. */
async function inflate(data: readonly Uint8Array[], length: number): Promise<Uint8Array> {
  const stream = new Blob([...data] as BlobPart[]).stream().pipeThrough(new DecompressionStream("deflate"));
  const reader = stream.getReader();
  const raw = new Uint8Array(length);
  let filled = 0;
  try {
    while (filled < length) {
      const { done, value } = await reader.read();
      if (done) break;
      raw.set(value.subarray(0, length - filled), filled);
      filled += value.length;
    }
  } catch {
    filled = 0; // not a deflated stream, or cut off
  } finally {
    reader.cancel().catch(() => undefined);
  }
  if (filled < length) throw new Problem("damaged", "PNG");
  return raw;
}

/** Samples of all pixels, [height, width, samples] of 0..2^depth - 1 (1-, 2- and 4-bit ones not yet stretched). */
function unpack(raw: Uint8Array, header: Header, parts: readonly Part[]): Uint8Array | Uint16Array {
  const { width, height, depth, samples } = header;
  const count = width * height * samples;
  const result = depth === 16 ? new Uint16Array(count) : new Uint8Array(count);
  let at = 0;
  for (const part of parts) {
    unfilter(raw, at, part, Math.max(1, (samples * depth) / 8));
    for (let y = 0; y < part.rows; y++) {
      const row = at + y * (part.rowBytes + 1) + 1;
      const first = (part.top + y * part.stepY) * width + part.left;
      unpackRow(raw, row, part, header, result, first);
    }
    at += part.rows * (part.rowBytes + 1);
  }
  return result;
}

function unpackRow(
  raw: Uint8Array,
  row: number,
  part: Part,
  { depth, samples }: Header,
  result: Uint8Array | Uint16Array,
  first: number,
): void {
  if (depth === 8 && part.stepX === 1) {
    result.set(raw.subarray(row, row + part.columns * samples), first * samples);
    return;
  }
  const mask = (1 << depth) - 1;
  for (let x = 0; x < part.columns; x++) {
    for (let sample = 0; sample < samples; sample++) {
      const index = x * samples + sample;
      const target = (first + x * part.stepX) * samples + sample;
      if (depth === 16) result[target] = (raw[row + 2 * index] << 8) | raw[row + 2 * index + 1];
      else if (depth === 8) result[target] = raw[row + index];
      else result[target] = (raw[row + ((index * depth) >> 3)] >> (8 - depth - ((index * depth) & 7))) & mask;
    }
  }
}

/** Undo the row filters of one part in place: PNG specification, 9.2. */
function unfilter(raw: Uint8Array, start: number, part: Part, step: number): void {
  const { rowBytes } = part;
  for (let y = 0; y < part.rows; y++) {
    const row = start + y * (rowBytes + 1) + 1;
    const above = y === 0 ? -1 : row - rowBytes - 1;
    unfilterRow(raw, raw[row - 1], row, above, rowBytes, step);
  }
}

function unfilterRow(raw: Uint8Array, filter: number, row: number, above: number, length: number, step: number): void {
  if (filter > 4) throw new Problem("damaged", "PNG");
  if (filter === 0 || (filter === 2 && above < 0)) return;
  for (let at = 0; at < length; at++) {
    const left = at >= step ? raw[row + at - step] : 0;
    const up = above >= 0 ? raw[above + at] : 0;
    let predicted = left;
    if (filter === 2) predicted = up;
    else if (filter === 3) predicted = (left + up) >> 1;
    else if (filter === 4) predicted = paeth(left, up, above >= 0 && at >= step ? raw[above + at - step] : 0);
    raw[row + at] += predicted;
  }
}

function paeth(left: number, up: number, upLeft: number): number {
  const estimate = left + up - upLeft;
  const [toLeft, toUp, toUpLeft] = [Math.abs(estimate - left), Math.abs(estimate - up), Math.abs(estimate - upLeft)];
  if (toLeft <= toUp && toLeft <= toUpLeft) return left;
  return toUp <= toUpLeft ? up : upLeft;
}

function planesOf(samples: Uint8Array | Uint16Array, header: Header, palette: Uint8Array): Planes["planes"] {
  const { depth, colourType, width, height } = header;
  const count = width * height;
  if (colourType === 3) {
    return [0, 1, 2].map((channel) => Uint8Array.from({ length: count }, (_, at) => palette[samples[at] * 3 + channel] ?? 0));
  }
  if (colourType === 0 && depth === 16) {
    return [Float32Array.from(samples, (value) => value / SIXTEEN_BIT_DIVISOR)];
  }
  const colours = colourType === 0 || colourType === 4 ? 1 : 3;
  const stretch = depth < 8 ? 255 / ((1 << depth) - 1) : 1;
  const shift = depth === 16 ? 8 : 0; // Pillow keeps the upper byte of all but 16-bit grey
  return Array.from({ length: colours }, (_, channel) => {
    const plane = new Uint8Array(count);
    for (let at = 0, from = channel; at < count; at++, from += header.samples) plane[at] = (samples[from] >> shift) * stretch;
    return plane;
  });
}
