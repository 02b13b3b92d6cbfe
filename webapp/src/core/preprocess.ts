/** The preprocessing contract in TypeScript: planes become uint8 [height, width, channels], as in Python. */
import { type Contract, sizeInside } from "./contract.js";
import { resize, type Values } from "./resize.js";

/** A decoded image: one plane (grey) or three (red, green, blue), each [height, width] of 0..255. */
export interface Planes {
  readonly height: number;
  readonly width: number;
  readonly planes: readonly Values[];
}

/** Crop, resize, round and pad: uint8 [contract.height, contract.width, contract.channels]. */
export function preprocess(image: Planes, contract: Contract): Uint8Array {
  const source = contract.channels === 1 ? grey(image) : image;
  const cropped = contract.aspect === "center-crop" ? centralSquare(source) : source;
  const [height, width] = sizeInside(contract, cropped.height, cropped.width);
  const rounded = cropped.planes.map((plane) =>
    roundToBytes(resize(plane, cropped.height, cropped.width, height, width)),
  );
  const { channels } = contract;
  const pixels = new Uint8Array(contract.height * contract.width * channels);
  const top = Math.floor((contract.height - height) / 2);
  const left = Math.floor((contract.width - width) / 2);
  for (let channel = 0; channel < channels; channel++) {
    const plane = rounded[rounded.length === 1 ? 0 : channel];
    for (let y = 0; y < height; y++) {
      let target = ((top + y) * contract.width + left) * channels + channel;
      for (let x = 0; x < width; x++, target += channels) pixels[target] = plane[y * width + x];
    }
  }
  return pixels;
}

/** One plane: the luma of ITU-R BT.601 in Pillow's whole numbers; a grey image as it is. */
export function grey(image: Planes): Planes {
  if (image.planes.length === 1) return image;
  const [red, green, blue] = image.planes;
  const luma = new Uint8Array(red.length);
  for (let at = 0; at < luma.length; at++) {
    luma[at] = (red[at] * 19595 + green[at] * 38470 + blue[at] * 7471 + 0x8000) >> 16;
  }
  return { ...image, planes: [luma] };
}

/** Round half to even, clip to 0..255. */
export function roundToBytes(values: Float32Array): Uint8Array {
  const bytes = new Uint8Array(values.length);
  for (let at = 0; at < bytes.length; at++) {
    const value = values[at];
    const rounded = Math.floor(value + 0.5);
    const even = rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
    bytes[at] = even < 0 ? 0 : even > 255 ? 255 : even;
  }
  return bytes;
}

function centralSquare(image: Planes): Planes {
  const side = Math.min(image.width, image.height);
  if (image.width === image.height) return image;
  const top = Math.floor((image.height - side) / 2);
  const left = Math.floor((image.width - side) / 2);
  const planes = image.planes.map((plane) => {
    const cropped = plane instanceof Uint8Array ? new Uint8Array(side * side) : new Float32Array(side * side);
    for (let y = 0; y < side; y++) {
      const start = (top + y) * image.width + left;
      cropped.set(plane.subarray(start, start + side), y * side);
    }
    return cropped;
  });
  return { height: side, width: side, planes };
}
