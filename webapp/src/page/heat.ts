/** A class activation map as a picture over the film. */
import type { Maps } from "../core/classifier.js";

/** Where on the original image the model's input lies, in pixels of the original. */
export interface Frame {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** The part of an image that the model saw: all of it (squash), the centred square (center-crop), or more than it, with
 * the black borders around (pad). */
export function seenFrame(
  image: { readonly width: number; readonly height: number },
  input: { readonly width: number; readonly height: number; readonly aspect: string },
): Frame {
  const { width, height } = image;
  if (input.aspect === "center-crop") {
    const side = Math.min(width, height);
    return { left: Math.floor((width - side) / 2), top: Math.floor((height - side) / 2), width: side, height: side };
  }
  if (input.aspect === "pad") {
    const scale = Math.max(width / input.width, height / input.height);
    const [seenWidth, seenHeight] = [input.width * scale, input.height * scale];
    return { left: (width - seenWidth) / 2, top: (height - seenHeight) / 2, width: seenWidth, height: seenHeight };
  }
  return { left: 0, top: 0, width, height };
}

/** Whether any place speaks for a class. */
export function hasEvidence(maps: Maps, classes: number, chosen: number): boolean {
  return maps.data.some((value, at) => at % classes === chosen && value > 0);
}

/** The evidence for one class as a small canvas, one pixel a place: transparent where there is little or none (or some
 * against), yellow to red and opaque where it is as strong as the strongest of any class, in log-odds: a class for which
 * little speaks stays pale. */
export function heatPicture(maps: Maps, classes: number, chosen: number): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = maps.width;
  canvas.height = maps.height;
  const context = canvas.getContext("2d");
  if (context === null) throw new Error("no canvas");
  const pixels = context.createImageData(maps.width, maps.height);
  const places = maps.width * maps.height;
  let strongest = 0;
  for (const value of maps.data) strongest = Math.max(strongest, value);
  for (let place = 0; place < places; place += 1) {
    const share = strongest > 0 ? Math.max(0, maps.data[place * classes + chosen] ?? 0) / strongest : 0;
    const [red, green, blue] = warm(share);
    pixels.data.set([red, green, blue, Math.round(255 * share ** 1.5)], place * 4);
  }
  context.putImageData(pixels, 0, 0);
  return canvas;
}

/** Longer side of a smooth heat map, in pixels. */
const SMOOTH = 128;

/** A heat map made larger without corners, as far as it takes for a film to enlarge the rest in the plainest way: a film of
 * two megapixels took 20 ms for the best one. */
export function smoothed(heat: HTMLCanvasElement): HTMLCanvasElement {
  const scale = Math.max(1, SMOOTH / Math.max(heat.width, heat.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(heat.width * scale);
  canvas.height = Math.round(heat.height * scale);
  const context = canvas.getContext("2d");
  if (context === null) throw new Error("no canvas");
  context.imageSmoothingQuality = "high";
  context.drawImage(heat, 0, 0, canvas.width, canvas.height);
  return canvas;
}

/** Yellow (weak) over orange to red (strong): brightness falls as the evidence grows, so that it reads without colour. */
export function warm(share: number): readonly [number, number, number] {
  return [255, Math.round(225 - 190 * share), Math.round(90 - 60 * share)];
}
