/** What a camera notes of how it was held. The contract ignores it: models were trained on the stored pixels. */
import { type ImageKind, jpegSegments, text, viewOf, webpChunks } from "./headers.js";

const APP1 = 0xe1;
const EXIF = "Exif\0\0";
/** EXIF 2.32, tag 0x0112: 1 is upright, 2 to 8 are turned or mirrored. */
const ORIENTATION = 0x0112;
const UPRIGHT = 1;

/** Whether viewers show the picture otherwise than it is stored: EXIF orientation 2 to 8, of a JPEG or a WebP. */
export function isTurned(bytes: Uint8Array, kind: ImageKind): boolean {
  try {
    const found = exifOf(bytes, kind);
    const orientation = found === null ? UPRIGHT : orientationOf(found);
    return orientation > UPRIGHT && orientation <= 8;
  } catch (error) {
    if (error instanceof RangeError) return false; // cut off: as if there were none
    throw error;
  }
}

/** The TIFF structure with the notes; null where there is none. */
function exifOf(bytes: Uint8Array, kind: ImageKind): Uint8Array | null {
  if (kind === "JPEG") {
    for (const { marker, start, end } of jpegSegments(viewOf(bytes))) {
      if (marker === APP1 && text(bytes, start + 4, 6) === EXIF) return bytes.subarray(start + 10, end);
    }
  }
  if (kind === "WebP" && text(bytes, 12, 4) === "VP8X") {
    for (const { start, end } of webpChunks(bytes)) {
      if (text(bytes, start, 4) !== "EXIF") continue;
      const prefix = text(bytes, start + 8, 6) === EXIF ? 6 : 0; // written by some, not meant to be there
      return bytes.subarray(start + 8 + prefix, end);
    }
  }
  return null;
}

function orientationOf(tiff: Uint8Array): number {
  const view = viewOf(tiff);
  const little = text(tiff, 0, 2) === "II";
  const directory = view.getUint32(4, little);
  const entries = view.getUint16(directory, little);
  for (let at = directory + 2; at < directory + 2 + 12 * entries; at += 12) {
    if (view.getUint16(at, little) === ORIENTATION) return view.getUint16(at + 8, little);
  }
  return UPRIGHT;
}
