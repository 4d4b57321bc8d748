import { CLASSES, type Digits, IMAGE_PIXELS } from './digits.ts';
import {
  type ConvolutionLayer,
  type Network,
  type NetworkSize,
  featureCount,
  imageFeatures,
  randomLayers,
  readOut,
} from './network.ts';
import { Random } from './random.ts';

export interface FitOptions {
  readonly size: NetworkSize;
  readonly seed: number;
  readonly epochs: number;
}

const LEARNING_RATE = 0.02;
const MOMENTUM = 0.9;
const BATCH = 16;

/**
 * Fits the linear layer by stochastic gradient descent on cross-entropy. Arithmetic and order are fixed, and the
 * engine's exp is the same on every platform, so equal options and digits give equal weights.
 */
export function fitNetwork(digits: Digits, options: FitOptions): Network {
  const layers = randomLayers(options.size, options.seed);
  const width = featureCount(options.size);
  const features = featuresOf(layers, digits.images, width);
  const scale = normalise(features);
  const network = { layers, weights: new Float32Array(width * CLASSES), bias: new Float32Array(CLASSES) };
  const momentum = new Float32Array(width * CLASSES);
  const gradient = new Float32Array(width * CLASSES);
  const order = Uint32Array.from(digits.labels.keys());
  const random = new Random(options.seed, digits.labels.length, options.epochs);
  for (let epoch = 0; epoch < options.epochs; epoch++) {
    random.shuffle(order);
    const rate = LEARNING_RATE * (1 - epoch / options.epochs);
    for (let from = 0; from < order.length; from += BATCH) {
      const batch = order.subarray(from, from + BATCH);
      gradient.fill(0);
      for (const index of batch) {
        const row = features.subarray(index * width, (index + 1) * width);
        addGradient(network, gradient, row, digits.labels[index] ?? 0, rate / batch.length);
      }
      step(network.weights, momentum, gradient, rate / batch.length);
    }
  }
  // The features were scaled to a mean square of one for the fit; the weights carry that scale from here on.
  for (let k = 0; k < network.weights.length; k++) network.weights[k] = (network.weights[k] ?? 0) * scale;
  return network;
}

function featuresOf(layers: readonly ConvolutionLayer[], images: Float32Array, width: number): Float32Array {
  const count = images.length / IMAGE_PIXELS;
  const features = new Float32Array(count * width);
  for (let k = 0; k < count; k++) {
    features.set(imageFeatures(layers, images.subarray(k * IMAGE_PIXELS, (k + 1) * IMAGE_PIXELS)), k * width);
  }
  return features;
}

/** Scales all by one factor and returns it. */
function normalise(features: Float32Array): number {
  let squares = 0;
  for (const value of features) squares += value * value;
  const scale = 1 / Math.sqrt(squares / features.length);
  for (let k = 0; k < features.length; k++) features[k] = (features[k] ?? 0) * scale;
  return Math.fround(scale);
}

/** Cross-entropy's gradient: softmax minus the one right answer, times the features. The bias learns at once. */
function addGradient(
  network: Network,
  gradient: Float32Array,
  features: Float32Array,
  label: number,
  rate: number,
): void {
  const scores = readOut(network.weights, network.bias, features);
  const largest = scores.reduce((most, score) => Math.max(most, score), -Infinity);
  const exponentials = scores.map((score) => Math.exp(score - largest));
  const total = exponentials.reduce((sum, value) => sum + value, 0);
  const error = exponentials.map((value, k) => value / total - (k === label ? 1 : 0));
  for (let k = 0; k < features.length; k++) {
    const value = features[k] ?? 0;
    if (value === 0) continue;
    const row = k * CLASSES;
    for (let c = 0; c < CLASSES; c++) gradient[row + c] = (gradient[row + c] ?? 0) + value * (error[c] ?? 0);
  }
  for (let c = 0; c < CLASSES; c++) network.bias[c] = (network.bias[c] ?? 0) - rate * (error[c] ?? 0);
}

function step(weights: Float32Array, momentum: Float32Array, gradient: Float32Array, rate: number): void {
  for (let k = 0; k < weights.length; k++) {
    const moved = MOMENTUM * (momentum[k] ?? 0) + (gradient[k] ?? 0);
    momentum[k] = moved;
    weights[k] = (weights[k] ?? 0) - rate * moved;
  }
}
