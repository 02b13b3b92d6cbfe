/**
 * From a file's bytes to planes of 0..255. JPEG, WebP, GIF and BMP are the browser's to decode, of a copy without EXIF and
 * colour profile; PNG and DICOM have decoders of their own, that of DICOM loaded when the first such file comes.
 */
import { orientation } from "./exif.js";
import { kindOf, sizeOf, stripped, type ImageKind, type Size } from "./headers.js";
import { decodePng } from "./png.js";
import type { Planes } from "./preprocess.js";
import { Problem } from "./problem.js";
import type { NoteCode } from "../strings.js";

/** More pixels than this are refused before they are decoded. */
export const MOST_PIXELS = 100_000_000;
/** The browser's picture is read back in strips of at most so many pixels: some canvases can be no larger. */
const STRIP_PIXELS = 4_000_000;

export interface Decoded extends Planes {
  readonly kind: ImageKind;
  readonly notes: readonly NoteCode[];
  /** As EXIF has it, 1 to 8; what the contract ignores: the planes are as they are stored. */
  readonly orientation: number;
}

/** Turns a file that the browser knows into planes; what tests without a browser replace. */
export type BrowserDecoder = (bytes: Uint8Array, kind: ImageKind) => Promise<Planes>;

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

/** Decode through createImageBitmap and a canvas: no rotation, no colour management, no premultiplied alpha. */
export async function decodeInBrowser(bytes: Uint8Array, kind: ImageKind): Promise<Planes> {
  const file = new Blob([bytes as BlobPart], { type: `image/${kind.toLowerCase()}` });
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file, {
      colorSpaceConversion: "none",
      imageOrientation: "none",
      premultiplyAlpha: "none",
    });
  } catch {
    throw new Problem("damaged", kind);
  }
  try {
    return readBack(bitmap);
  } finally {
    bitmap.close();
  }
}

function kindToDecode(bytes: Uint8Array): ImageKind {
  if (bytes.length === 0) throw new Problem("empty");
  const kind = kindOf(bytes);
  if (kind === null) throw new Problem("not-an-image");
  if (["TIFF", "HEIC", "AVIF", "JPEG 2000", "PDF", "SVG"].includes(kind)) throw new Problem("unreadable-kind", kind);
  return kind as ImageKind;
}

function readBack(bitmap: ImageBitmap): Planes {
  const { width, height } = bitmap;
  const rows = Math.max(1, Math.min(height, Math.floor(STRIP_PIXELS / width)));
  const context = canvasContext(width, rows);
  const planes = new PlaneWriter(width * height);
  for (let top = 0; top < height; top += rows) {
    const count = Math.min(rows, height - top);
    context.clearRect(0, 0, width, rows);
    context.drawImage(bitmap, 0, -top);
    planes.write(context.getImageData(0, 0, width, count).data);
  }
  return { width, height, planes: planes.planes };
}

function canvasContext(width: number, height: number): OffscreenCanvasRenderingContext2D | CanvasRenderingContext2D {
  const options = { willReadFrequently: true } as const; // in memory, not on the graphics card: exact
  const canvas =
    typeof OffscreenCanvas === "undefined"
      ? Object.assign(document.createElement("canvas"), { width, height })
      : new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", options) as OffscreenCanvasRenderingContext2D | null;
  if (context === null) throw new Error("the browser has no 2D canvas");
  return context;
}

/** Takes RGBA pixels in order; one plane as long as all of them are grey, three from the first coloured one on. */
class PlaneWriter {
  planes: Uint8Array[];
  private filled = 0;

  constructor(length: number) {
    this.planes = [new Uint8Array(length)];
  }

  write(rgba: Uint8ClampedArray): void {
    const pixels = new Uint32Array(rgba.buffer, rgba.byteOffset, rgba.length / 4);
    if (this.planes.length === 1 && !this.writeGrey(pixels)) this.planes.push(this.planes[0].slice(), this.planes[0].slice());
    if (this.planes.length === 3) this.writeColours(pixels);
    this.filled += pixels.length;
  }

  private writeGrey(pixels: Uint32Array): boolean {
    const [plane] = this.planes;
    let coloured = 0;
    for (let at = 0, to = this.filled; at < pixels.length; at++, to++) {
      const value = pixels[at]; // little-endian everywhere: 0xAABBGGRR
      plane[to] = value;
      coloured |= (value ^ (value >>> 8)) & 0xffff;
    }
    return coloured === 0;
  }

  private writeColours(pixels: Uint32Array): void {
    const [red, green, blue] = this.planes;
    for (let at = 0, to = this.filled; at < pixels.length; at++, to++) {
      const value = pixels[at];
      red[to] = value;
      green[to] = value >>> 8;
      blue[to] = value >>> 16;
    }
  }
}
