/**
 * The browser's decoder as a source of planes: no rotation, no colour management, no premultiplied alpha. A grey JPEG, as
 * most X-rays are, comes straight out of it where the browser allows that (WebCodecs); all else goes through a canvas.
 */
import { type ImageKind, isGreyJpeg } from "./headers.js";
import type { Planes } from "./preprocess.js";
import { Problem } from "./problem.js";

/** Turns a file that the browser knows into planes; what tests without a browser replace. */
export type BrowserDecoder = (bytes: Uint8Array, kind: ImageKind) => Promise<Planes>;

/** Pictures are read back in strips of at most so many pixels: a megabyte stays in a processor's cache, which halves the
 * time, and some canvases cannot be large. */
const STRIP_PIXELS = 250_000;
/** Layouts whose first of four bytes is a colour: what is grey is the same in all of them. */
const FOUR_BYTES: readonly (string | null)[] = ["BGRX", "RGBX", "BGRA", "RGBA"];

/** Decode a file of a kind that the browser knows, without EXIF and colour profile. Throws Problem("damaged"). */
export async function decodeInBrowser(bytes: Uint8Array, kind: ImageKind): Promise<Planes> {
  const grey = kind === "JPEG" && isGreyJpeg(bytes) ? await decodeGrey(bytes) : null;
  if (grey !== null) return grey;
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

/** The plane of a grey JPEG, without the way over a canvas, which takes as long as decoding; null where the browser
 * cannot: then the other way decides whether the file is damaged. */
async function decodeGrey(bytes: Uint8Array): Promise<Planes | null> {
  if (typeof ImageDecoder === "undefined") return null;
  const decoder = new ImageDecoder({ type: "image/jpeg", data: bytes as BufferSource, colorSpaceConversion: "none" });
  let frame: VideoFrame | undefined;
  try {
    frame = (await decoder.decode()).image;
    return FOUR_BYTES.includes(frame.format) && frame.visibleRect !== null ? await copied(frame, frame.visibleRect) : null;
  } catch {
    return null;
  } finally {
    frame?.close();
    decoder.close();
  }
}

async function copied(frame: VideoFrame, { x, y, width, height }: DOMRectReadOnly): Promise<Planes> {
  const rows = rowsOfStrip(width, height);
  const writer = new PlaneWriter(width * height);
  const strip = new Uint8ClampedArray(width * rows * 4);
  for (let top = 0; top < height; top += rows) {
    const count = Math.min(rows, height - top);
    const layout = [{ offset: 0, stride: width * 4 }];
    await frame.copyTo(strip, { rect: { x, y: y + top, width, height: count }, layout });
    writer.write(strip.subarray(0, width * count * 4));
  }
  return { width, height, planes: writer.planes };
}

function rowsOfStrip(width: number, height: number): number {
  return Math.max(1, Math.min(height, Math.floor(STRIP_PIXELS / width)));
}

function readBack(bitmap: ImageBitmap): Planes {
  const { width, height } = bitmap;
  const rows = rowsOfStrip(width, height);
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
