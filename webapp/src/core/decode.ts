/**
 * From a file's bytes to planes of 0..255. JPEG, WebP, GIF and BMP are the browser's to decode, of a copy without EXIF and
 * colour profile; PNG and DICOM have decoders of their own, that of DICOM loaded when the first such file comes.
 */
import { type BrowserDecoder, decodeInBrowser } from "./browserDecode.js";
import { orientation } from "./exif.js";
import { kindOf, sizeOf, stripped, type ImageKind, type Size } from "./headers.js";
import { decodePng } from "./png.js";
import type { Planes } from "./preprocess.js";
import { Problem } from "./problem.js";
import type { NoteCode } from "../strings.js";

/** More pixels than this are refused before they are decoded. */
export const MOST_PIXELS = 100_000_000;

export interface Decoded extends Planes {
  readonly kind: ImageKind;
  readonly notes: readonly NoteCode[];
  /** As EXIF has it, 1 to 8; what the contract ignores: the planes are as they are stored. */
  readonly orientation: number;
}

/** Decode a file. Throws Problem for what is no image, is damaged, is too large or cannot be decoded here. */
export async function decode(bytes: Uint8Array, browser: BrowserDecoder = decodeInBrowser): Promise<Decoded> {
  const kind = kindToDecode(bytes);
  if (kind === "DICOM") {
    const { decodeDicom } = await dicomReader();
    return { ...(await decodeDicom(bytes, browser)), kind, orientation: 1 };
  }
  const size = sizeOf(bytes, kind);
  if (size === null || size.width === 0 || size.height === 0) throw new Problem("damaged", kind);
  refuseTooLarge(size);
  if (kind === "PNG") return { ...(await decodePng(bytes)), kind, notes: [], orientation: 1 };
  return { ...(await browser(stripped(bytes, kind), kind)), kind, notes: [], orientation: orientation(bytes, kind) };
}

/** The one part of the page that is not there from the start. Throws Problem("no-reader") where it cannot be loaded:
 * without a network and without a service worker that keeps it, or when another version has taken the page's place. */
async function dicomReader(): Promise<typeof import("./dicom.js")> {
  try {
    return await import("./dicom.js");
  } catch {
    throw new Problem("no-reader", "DICOM");
  }
}

/** Throws Problem("too-large") for more than MOST_PIXELS. */
export function refuseTooLarge({ width, height }: Size): void {
  if (width * height <= MOST_PIXELS) return;
  throw new Problem("too-large", width.toLocaleString("en"), height.toLocaleString("en"), String(MOST_PIXELS / 1e6));
}

function kindToDecode(bytes: Uint8Array): ImageKind {
  if (bytes.length === 0) throw new Problem("empty");
  const kind = kindOf(bytes);
  if (kind === null) throw new Problem("not-an-image");
  if (["TIFF", "HEIC", "AVIF", "JPEG 2000", "PDF", "SVG"].includes(kind)) throw new Problem("unreadable-kind", kind);
  return kind as ImageKind;
}
