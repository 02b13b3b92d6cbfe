/** A decoded image as something to look at. */
import type { Planes } from "../core/preprocess.js";

/** Planes of 0..255, one or three, as a canvas of their size. */
export function pictureOf({ width, height, planes }: Planes): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  if (context === null) throw new Error("no canvas");
  const image = context.createImageData(width, height);
  const [red, green, blue] = planes.length === 3 ? planes : [planes[0], planes[0], planes[0]];
  for (let pixel = 0, at = 0; pixel < width * height; pixel++, at += 4) {
    image.data[at] = red[pixel];
    image.data[at + 1] = green[pixel];
    image.data[at + 2] = blue[pixel];
    image.data[at + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  return canvas;
}
