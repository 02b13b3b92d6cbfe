/** What the first bytes of a file tell: its kind and its size, without decoding it. */

export type ImageKind = "JPEG" | "PNG" | "WebP" | "GIF" | "BMP" | "DICOM";
/** Kinds that are recognised only to be named in an error. */
export type OtherKind = "TIFF" | "HEIC" | "AVIF" | "JPEG 2000" | "PDF" | "SVG";

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** The kind by the magic bytes; null for none of these. */
export function kindOf(bytes: Uint8Array): ImageKind | OtherKind | null {
  if (has(bytes, 0, 0xff, 0xd8, 0xff)) return "JPEG";
  if (has(bytes, 0, 0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)) return "PNG";
  if (text(bytes, 0, 4) === "RIFF" && text(bytes, 8, 4) === "WEBP") return "WebP";
  if (["GIF87a", "GIF89a"].includes(text(bytes, 0, 6))) return "GIF";
  if (text(bytes, 128, 4) === "DICM" || isBareDicom(bytes)) return "DICOM";
  if (text(bytes, 0, 2) === "BM") return "BMP";
  return otherKind(bytes);
}

/** Width and height as the header has them; null when it ends too early. */
export function sizeOf(bytes: Uint8Array, kind: Exclude<ImageKind, "DICOM">): Size | null {
  const view = viewOf(bytes);
  try {
    switch (kind) {
      case "JPEG":
        return jpegSize(view);
      case "PNG":
        return { width: view.getUint32(16), height: view.getUint32(20) };
      case "GIF":
        return { width: view.getUint16(6, true), height: view.getUint16(8, true) };
      case "BMP":
        return view.getUint32(14, true) === 12
          ? { width: view.getUint16(18, true), height: view.getUint16(20, true) }
          : { width: Math.abs(view.getInt32(18, true)), height: Math.abs(view.getInt32(22, true)) };
      case "WebP":
        return webpSize(view);
    }
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

/** Whether a JPEG, whose header is whole, has one component. */
export function isGreyJpeg(bytes: Uint8Array): boolean {
  const start = jpegFrame(viewOf(bytes));
  return start !== null && bytes[start + 9] === 1;
}

/**
 * The file without what would make a browser turn or recolour it: EXIF and ICC segments of a JPEG, the same chunks of a
 * WebP. The contract ignores both. Other kinds are handed on as they are.
 */
export function stripped(bytes: Uint8Array, kind: ImageKind): Uint8Array {
  if (kind === "JPEG") return strippedJpeg(bytes);
  if (kind === "WebP") return strippedWebp(bytes);
  return bytes;
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function text(bytes: Uint8Array, start: number, length: number): string {
  return String.fromCharCode(...bytes.subarray(start, start + length));
}

function has(bytes: Uint8Array, start: number, ...expected: number[]): boolean {
  return expected.every((byte, at) => bytes[start + at] === byte);
}

function isBareDicom(bytes: Uint8Array): boolean {
  // Without the preamble: the first element is of group 2 or 8 and short, with letters for its representation or a length.
  const known = has(bytes, 0, 2, 0, 0, 0) || (has(bytes, 0, 8, 0) && bytes[2] <= 0x18 && bytes[3] === 0);
  return known && (/^(UL|UI|CS|LO|DA)$/.test(text(bytes, 4, 2)) || (bytes[4] <= 64 && has(bytes, 5, 0, 0, 0)));
}

function otherKind(bytes: Uint8Array): OtherKind | null {
  if (has(bytes, 0, 0x49, 0x49, 42, 0) || has(bytes, 0, 0x4d, 0x4d, 0, 42)) return "TIFF";
  if (text(bytes, 0, 4) === "%PDF") return "PDF";
  if (has(bytes, 0, 0, 0, 0, 0x0c, 0x6a, 0x50) || has(bytes, 0, 0xff, 0x4f, 0xff, 0x51)) return "JPEG 2000";
  if (text(bytes, 4, 4) === "ftyp") return /^avi[fs]/.test(text(bytes, 8, 4)) ? "AVIF" : "HEIC";
  return /^\s*(<\?xml|<svg)/.test(text(bytes, 0, 64)) ? "SVG" : null;
}

interface Segment {
  readonly marker: number;
  readonly start: number;
  readonly end: number;
}

/** The marker segments of a JPEG up to (and with) the start of scan. */
export function* jpegSegments(view: DataView): Generator<Segment> {
  let at = 2;
  while (at + 4 <= view.byteLength) {
    if (view.getUint8(at) !== 0xff) return;
    const marker = view.getUint8(at + 1);
    if (marker === 0xff) {
      at += 1; // fill bytes
      continue;
    }
    const alone = marker === 0x01 || (marker >= 0xd0 && marker <= 0xd7);
    const end = at + 2 + (alone ? 0 : view.getUint16(at + 2));
    yield { marker, start: at, end };
    if (marker === 0xda) return;
    at = end;
  }
}

function jpegSize(view: DataView): Size | null {
  const start = jpegFrame(view);
  return start === null ? null : { height: view.getUint16(start + 5), width: view.getUint16(start + 7) };
}

/** Where the start-of-frame segment lies. */
function jpegFrame(view: DataView): number | null {
  for (const { marker, start } of jpegSegments(view)) {
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) return start;
  }
  return null;
}

function strippedJpeg(bytes: Uint8Array): Uint8Array {
  const dropped = [...jpegSegments(viewOf(bytes))].filter(({ marker }) => marker === 0xe1 || marker === 0xe2);
  return without(bytes, dropped);
}

function webpSize(view: DataView): Size | null {
  const kind = text(new Uint8Array(view.buffer, view.byteOffset, view.byteLength), 12, 4);
  if (kind === "VP8X") {
    const at = (start: number) => view.getUint16(start, true) + (view.getUint8(start + 2) << 16) + 1;
    return { width: at(24), height: at(27) };
  }
  if (kind === "VP8L") {
    const bits = view.getUint32(21, true);
    return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
  }
  if (kind !== "VP8 ") return null;
  return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff };
}

function strippedWebp(bytes: Uint8Array): Uint8Array {
  if (text(bytes, 12, 4) !== "VP8X") return bytes;
  const dropped = [...webpChunks(bytes)].filter(({ start }) => ["ICCP", "EXIF", "XMP "].includes(text(bytes, start, 4)));
  const rest = without(bytes, dropped);
  const written = viewOf(rest);
  written.setUint32(4, rest.length - 8, true);
  written.setUint8(20, written.getUint8(20) & ~0b00101100); // the flags of the three
  return rest;
}

/** The chunks of a WebP: name and length in eight bytes, then the data. */
export function* webpChunks(bytes: Uint8Array): Generator<Segment> {
  const view = viewOf(bytes);
  for (let at = 12; at + 8 <= bytes.length; ) {
    const length = view.getUint32(at + 4, true);
    const end = at + 8 + length + (length % 2);
    yield { marker: 0, start: at, end };
    at = end;
  }
}

/** A copy without the segments. */
function without(bytes: Uint8Array, dropped: readonly Segment[]): Uint8Array {
  const rest = new Uint8Array(bytes.length);
  let length = 0;
  let at = 0;
  for (const { start, end } of [...dropped, { start: bytes.length, end: bytes.length }]) {
    const kept = bytes.subarray(at, start);
    rest.set(kept, length);
    length += kept.length;
    at = Math.max(at, end);
  }
  return rest.subarray(0, length);
}
