import { CLASSES, IMAGE_PIXELS, IMAGE_SIDE } from './digits.ts';
import { Random } from './random.ts';

/**
 * The practice classifier: two convolutions with fixed random filters, each rectified and pooled, then one trained
 * linear layer over what they see. It looks at every image VIEWS times, moved by a pixel, and adds up the scores. Random filters are nearly as good as trained ones at this size (Saxe et al.,
 * "On Random Weights and Unsupervised Feature Learning", ICML 2011), and leave a convex problem to fit.
 */
export interface Network {
  /** [features, channels, kernel, kernel], row-major. */
  readonly layers: readonly ConvolutionLayer[];
  /** [FEATURES, CLASSES], row-major. */
  readonly weights: Float32Array;
  readonly bias: Float32Array;
}

export interface ConvolutionLayer {
  readonly features: number;
  readonly channels: number;
  readonly kernel: number;
  readonly filters: Float32Array;
  readonly bias: Float32Array;
}

/** One pixel up or down, left or right, and where it is. */
const SHIFTS: readonly (readonly [dy: number, dx: number])[] = [-1, 0, 1].flatMap((dy) =>
  [-1, 0, 1].map((dx) => [dy, dx] as const),
);
export const VIEWS = SHIFTS.length;

/** A 3 x 3 filter for each view that moves the image: [VIEWS, 1, 3, 3]. */
export function shiftFilters(): Float32Array {
  const filters = new Float32Array(VIEWS * 9);
  for (const [view, [dy, dx]] of SHIFTS.entries()) filters[view * 9 + (1 + dy) * 3 + (1 + dx)] = 1;
  return filters;
}

/** Filters of each layer; kernels are 5 and 3 pixels wide, images are halved after each. */
export interface NetworkSize {
  readonly first: number;
  readonly second: number;
}

export function featureCount(size: NetworkSize): number {
  return size.second * (IMAGE_SIDE / 4) ** 2;
}

export function randomLayers(size: NetworkSize, seed: number): readonly ConvolutionLayer[] {
  return [randomLayer(size.first, 1, 5, seed), randomLayer(size.second, size.first, 3, seed)];
}

/** Filters without a mean, so that flat paper and flat ink say nothing; scaled to keep the signal's size (He et al., 2015). */
function randomLayer(features: number, channels: number, kernel: number, seed: number): ConvolutionLayer {
  const random = new Random(seed, features, channels, kernel);
  const patch = channels * kernel * kernel;
  const filters = new Float32Array(features * patch);
  const scale = Math.sqrt(2 / patch);
  for (let k = 0; k < filters.length; k++) filters[k] = scale * random.normal();
  for (let from = 0; from < filters.length; from += kernel * kernel)
    centre(filters.subarray(from, from + kernel * kernel));
  const bias = Float32Array.from({ length: features }, () => random.between(-0.1, 0.1));
  return { features, channels, kernel, filters, bias };
}

function centre(values: Float32Array): void {
  let sum = 0;
  for (const value of values) sum += value;
  const mean = sum / values.length;
  for (let k = 0; k < values.length; k++) values[k] = (values[k] ?? 0) - mean;
}

/** What the convolutions see in one image: FEATURES numbers in channel, row, column order. */
export function imageFeatures(layers: readonly ConvolutionLayer[], image: Float32Array): Float32Array {
  let values = image;
  let side = IMAGE_SIDE;
  for (const layer of layers) {
    values = maxPool(convolve(values, side, layer), layer.features, side);
    side /= 2;
  }
  return values;
}

/** Same-padded convolution and rectifier, one shifted row of the input at a time. */
function convolve(input: Float32Array, side: number, layer: ConvolutionLayer): Float32Array {
  const { features, channels, kernel, filters } = layer;
  const area = side * side;
  const margin = (kernel - 1) / 2;
  const output = new Float32Array(features * area);
  for (let feature = 0; feature < features; feature++) {
    const plane = output.subarray(feature * area, (feature + 1) * area).fill(layer.bias[feature] ?? 0);
    for (let channel = 0; channel < channels; channel++) {
      const source = input.subarray(channel * area, (channel + 1) * area);
      for (let ky = 0; ky < kernel; ky++) {
        for (let kx = 0; kx < kernel; kx++) {
          const weight = filters[((feature * channels + channel) * kernel + ky) * kernel + kx] ?? 0;
          addShifted(plane, source, side, ky - margin, kx - margin, weight);
        }
      }
    }
    for (let k = 0; k < area; k++) if ((plane[k] ?? 0) < 0) plane[k] = 0;
  }
  return output;
}

function addShifted(
  plane: Float32Array,
  source: Float32Array,
  side: number,
  dy: number,
  dx: number,
  weight: number,
): void {
  const [top, bottom] = [Math.max(0, -dy), Math.min(side, side - dy)];
  const [left, right] = [Math.max(0, -dx), Math.min(side, side - dx)];
  const shift = dy * side + dx;
  for (let y = top; y < bottom; y++) {
    for (let at = y * side + left; at < y * side + right; at++)
      plane[at] = (plane[at] ?? 0) + weight * (source[at + shift] ?? 0);
  }
}

/** Largest of each 2 x 2 block. */
function maxPool(input: Float32Array, channels: number, side: number): Float32Array {
  const half = side / 2;
  const output = new Float32Array(channels * half * half);
  for (let channel = 0; channel < channels; channel++) {
    for (let y = 0; y < half; y++) {
      for (let x = 0; x < half; x++) {
        const at = channel * side * side + 2 * y * side + 2 * x;
        const upper = Math.max(input[at] ?? 0, input[at + 1] ?? 0);
        const lower = Math.max(input[at + side] ?? 0, input[at + side + 1] ?? 0);
        output[(channel * half + y) * half + x] = Math.max(upper, lower);
      }
    }
  }
  return output;
}

/** Scores of the classes for each image, [count, CLASSES]: the reference for what the runtime answers. */
export function forward(network: Network, images: Float32Array): Float32Array {
  const count = images.length / IMAGE_PIXELS;
  const logits = new Float32Array(count * CLASSES);
  for (let k = 0; k < count; k++) {
    const image = images.subarray(k * IMAGE_PIXELS, (k + 1) * IMAGE_PIXELS);
    const sum = new Float64Array(CLASSES);
    for (const [dy, dx] of SHIFTS) {
      const view = new Float32Array(IMAGE_PIXELS);
      addShifted(view, image, IMAGE_SIDE, dy, dx, 1);
      const scores = readOut(network.weights, network.bias, imageFeatures(network.layers, view));
      for (let label = 0; label < CLASSES; label++) sum[label] = (sum[label] ?? 0) + (scores[label] ?? 0);
    }
    logits.set(sum, k * CLASSES);
  }
  return logits;
}

export function readOut(weights: Float32Array, bias: Float32Array, features: Float32Array): Float64Array {
  const logits = Float64Array.from(bias);
  for (let k = 0; k < features.length; k++) {
    const value = features[k] ?? 0;
    if (value === 0) continue;
    const row = k * CLASSES;
    for (let label = 0; label < CLASSES; label++)
      logits[label] = (logits[label] ?? 0) + value * (weights[row + label] ?? 0);
  }
  return logits;
}

/** Index of the largest of CLASSES scores that start at `from`; the first of equals. */
export function bestClass(scores: ArrayLike<number>, from = 0): number {
  let best = 0;
  for (let label = 1; label < CLASSES; label++) {
    if ((scores[from + label] ?? -Infinity) > (scores[from + best] ?? -Infinity)) best = label;
  }
  return best;
}
