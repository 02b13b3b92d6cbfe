/** What a camera notes of how it was held. The contract ignores it: models were trained on the stored pixels. */
import { type ImageKind, jpegSegments, text, viewOf, webpChunks } from "./headers.js";
import type { Planes } from "./preprocess.js";

const APP1 = 0xe1;
const EXIF = "Exif\0\0";
/** EXIF 2.32, tag 0x0112: 1 is upright, 2 to 8 are turned or mirrored. */
const ORIENTATION = 0x0112;
const UPRIGHT = 1;

/** EXIF orientation 1 to 8 of a JPEG or a WebP; 1 where it is not noted, or nonsense. Others than 1 are shown by viewers
 * otherwise than they are stored. */
export function orientation(bytes: Uint8Array, kind: ImageKind): number {
  try {
    const found = exifOf(bytes, kind);
    const noted = found === null ? UPRIGHT : noteOf(found);
    return noted > UPRIGHT && noted <= 8 ? noted : UPRIGHT;
  } catch (error) {
    if (error instanceof RangeError) return UPRIGHT; // cut off: as if there were none
    throw error;
  }
}

/** The picture as viewers show it. */
export function turned<Picture extends Planes>(picture: Picture, orientation: number): Picture {
  if (orientation === UPRIGHT) return picture;
  const { height, width } = picture;
  const sideways = orientation >= 5;
  const [rows, columns] = sideways ? [width, height] : [height, width];
  const fromRight = [2, 3, 7, 8].includes(orientation);
  const fromBelow = [3, 4, 6, 7].includes(orientation);
  const planes = picture.planes.map((plane) => {
    const shown = plane.slice();
    for (let y = 0, at = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++, at++) {
        const [down, along] = sideways ? [x, y] : [y, x];
        shown[at] = plane[(fromBelow ? height - 1 - down : down) * width + (fromRight ? width - 1 - along : along)];
      }
    }
    return shown;
  });
  return { ...picture, height: rows, width: columns, planes };
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

function noteOf(tiff: Uint8Array): number {
  const view = viewOf(tiff);
  const little = text(tiff, 0, 2) === "II";
  const directory = view.getUint32(4, little);
  const entries = view.getUint16(directory, little);
  for (let at = directory + 2; at < directory + 2 + 12 * entries; at += 12) {
    if (view.getUint16(at, little) === ORIENTATION) return view.getUint16(at + 8, little);
  }
  return UPRIGHT;
}
