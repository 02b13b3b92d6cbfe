/**
 * The antialiased triangle filter, number for number as Pillow has it for mode "F" (`BILINEAR`): the weights and the
 * sums are float64, what stands between the two passes (columns first) is float32. TensorFlow's
 * `resize(antialias=True)` is the same filter, within 0.01 of a grey level.
 */

/** One plane of an image, rows one after the other: whole numbers 0..255, or float32 (16-bit sources). */
export type Values = Uint8Array | Float32Array;

interface Weights {
  /** How many weights are kept for each output value, used or not. */
  readonly stride: number;
  readonly starts: Int32Array;
  readonly counts: Int32Array;
  readonly values: Float64Array;
}

/** `source` [height, width] as float32 [newHeight, newWidth], not rounded. */
export function resize(
  source: Values,
  height: number,
  width: number,
  newHeight: number,
  newWidth: number,
): Float32Array {
  const narrow = width === newWidth ? source : resizeRows(source, height, width, newWidth);
  if (height !== newHeight) return resizeColumns(narrow, newWidth, weightsOf(height, newHeight), newHeight);
  return narrow instanceof Float32Array ? narrow.slice() : Float32Array.from(narrow);
}

function weightsOf(size: number, newSize: number): Weights {
  const scale = size / newSize;
  const support = Math.max(scale, 1);
  const inverse = 1 / support;
  const stride = Math.ceil(support) * 2 + 1;
  const starts = new Int32Array(newSize);
  const counts = new Int32Array(newSize);
  const values = new Float64Array(newSize * stride);
  for (let index = 0; index < newSize; index++) {
    const center = (index + 0.5) * scale;
    const start = Math.max(0, Math.trunc(center - support + 0.5));
    const count = Math.min(size, Math.trunc(center + support + 0.5)) - start;
    const first = index * stride;
    let sum = 0;
    for (let at = 0; at < count; at++) {
      const distance = Math.abs((at + start - center + 0.5) * inverse);
      const weight = distance < 1 ? 1 - distance : 0;
      values[first + at] = weight;
      sum += weight;
    }
    for (let at = 0; at < count; at++) values[first + at] /= sum;
    starts[index] = start;
    counts[index] = count;
  }
  return { stride, starts, counts, values };
}

function resizeRows(source: Values, height: number, width: number, newWidth: number): Float32Array {
  const weights = weightsOf(width, newWidth);
  const result = new Float32Array(height * newWidth);
  const whole = height - (height % ROWS_AT_ONCE);
  for (let y = 0; y < whole; y += ROWS_AT_ONCE) resizeFourRows(source, y, width, weights, result, newWidth);
  for (let y = whole; y < height; y++) resizeRow(source, y, width, weights, result, newWidth);
  return result;
}

const ROWS_AT_ONCE = 4;

function resizeRow(source: Values, y: number, width: number, weights: Weights, result: Float32Array, newWidth: number): void {
  const { stride, starts, counts, values } = weights;
  for (let x = 0; x < newWidth; x++) {
    let sum = 0;
    const start = y * width + starts[x];
    const end = start + counts[x];
    for (let from = start, weight = x * stride; from < end; from++, weight++) sum += source[from] * values[weight];
    result[y * newWidth + x] = sum;
  }
}

/** Four rows beside one another: no sum waits for another's addition, which halves the time. The same sums. */
function resizeFourRows(source: Values, y: number, width: number, weights: Weights, result: Float32Array, newWidth: number): void {
  const { stride, starts, counts, values } = weights;
  for (let x = 0; x < newWidth; x++) {
    let [first, second, third, fourth] = [0, 0, 0, 0];
    const end = x * stride + counts[x];
    for (let from = y * width + starts[x], at = x * stride; at < end; from++, at++) {
      const weight = values[at];
      first += source[from] * weight;
      second += source[from + width] * weight;
      third += source[from + 2 * width] * weight;
      fourth += source[from + 3 * width] * weight;
    }
    const target = y * newWidth + x;
    result[target] = first;
    result[target + newWidth] = second;
    result[target + 2 * newWidth] = third;
    result[target + 3 * newWidth] = fourth;
  }
}

function resizeColumns(source: Values, width: number, weights: Weights, newHeight: number): Float32Array {
  const result = new Float32Array(newHeight * width);
  const sums = new Float64Array(width);
  for (let y = 0; y < newHeight; y++) {
    sums.fill(0);
    for (let at = 0; at < weights.counts[y]; at++) {
      const weight = weights.values[y * weights.stride + at];
      const row = (weights.starts[y] + at) * width;
      for (let x = 0; x < width; x++) sums[x] += source[row + x] * weight;
    }
    result.set(sums, y * width);
  }
  return result;
}
