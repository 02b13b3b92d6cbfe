/** A decoded image as something to look at. */
import type { Planes } from "../core/preprocess.js";

/** Longer side of a thumbnail, in pixels. */
const THUMB = 88;
/** A thumbnail's pixel is the mean of so many samples down and across: enough to look at, whatever the image's size. */
const SAMPLES = 4;

/** Planes of 0..255, one or three, as pixels for a canvas of their size. Throws where the browser has no memory for so
 * many. */
export function pictureOf({ width, height, planes }: Planes): ImageData {
  const image = new ImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer); // little-endian everywhere: 0xAABBGGRR
  const [red, green, blue] = planes.map((plane) => (plane instanceof Uint8Array ? plane : new Uint8ClampedArray(plane)));
  if (green === undefined || blue === undefined) {
    for (let at = 0; at < pixels.length; at++) pixels[at] = 0xff000000 | (red[at] * 0x010101);
  } else {
    for (let at = 0; at < pixels.length; at++) pixels[at] = 0xff000000 | (blue[at] << 16) | (green[at] << 8) | red[at];
  }
  return image;
}

/** A small picture of planes. */
export function thumbnailOf({ width, height, planes }: Planes): ImageData {
  const scale = THUMB / Math.max(width, height);
  const [columns, rows] = [width, height].map((size) => Math.max(1, Math.round(size * scale)));
  const [across, down] = [samplesOf(columns, width), samplesOf(rows, height)];
  const small = planes.map((plane) => {
    const means = new Float32Array(columns * rows);
    for (let y = 0, at = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++, at++) {
        let sum = 0;
        for (let i = 0; i < SAMPLES; i++) {
          const row = down[y * SAMPLES + i] * width;
          for (let j = 0; j < SAMPLES; j++) sum += plane[row + across[x * SAMPLES + j]];
        }
        means[at] = sum / SAMPLES ** 2;
      }
    }
    return means;
  });
  return pictureOf({ width: columns, height: rows, planes: small });
}

/** The places along one axis that are looked at, SAMPLES for each of `count` pixels. */
function samplesOf(count: number, size: number): Int32Array {
  const step = size / (count * SAMPLES);
  return Int32Array.from({ length: count * SAMPLES }, (_, at) => Math.floor((at + 0.5) * step));
}
