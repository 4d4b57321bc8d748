import { createHash } from 'node:crypto';
import { z } from 'zod';
import { GraphBuilder } from '#shared/onnx/builder/graph-builder.ts';
import { conv2d, flatten, linear, maxPool2d, reduceSum, relu, reshape } from '#shared/onnx/builder/operators.ts';
import { type Sha256Hex, sha256Hex } from '#shared/units.ts';
import { CLASSES, type Digits, IMAGE_SIDE, drawDigits } from './digits.ts';
import { fitNetwork } from './fit.ts';
import { type Network, VIEWS, featureCount, shiftFilters } from './network.ts';

/** Names in the exported graph: images [batch, 1, 28, 28] in, one score a class [batch, 10] out. */
export const INPUT = 'images';
export const OUTPUT = 'logits';

/** What the digits drawn from a seed are for: held-out ones and shards are never trained on. */
export const PURPOSE = { training: 1, heldOut: 2, shard: 3 } as const;

export interface PracticeModelOptions {
  readonly seed: number;
  /** Filters of the two layers: the work of one image grows with `first` times `second`. */
  readonly first: number;
  readonly second: number;
  readonly trainingDigits: number;
  readonly heldOutDigits: number;
  readonly epochs: number;
  /** Images in one shard. */
  readonly batch: number;
}

/** 22 million multiplications and additions an image: 64 of them are some 5 to 20 ms of one core and 200 kB of input. */
export const PRACTICE_MODEL: PracticeModelOptions = {
  seed: 20_260_801,
  first: 16,
  second: 32,
  trainingDigits: 4000,
  heldOutDigits: 4000,
  epochs: 4,
  batch: 64,
};

/** Stands beside the model: what it is, and what to expect of it. */
export const practiceCardSchema = z.object({
  version: z.literal(1),
  /** SHA-256 of the ONNX file. */
  modelDigest: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .transform((text) => sha256Hex(text)),
  /** SHA-256 over everything the model was made from; a build with the same has nothing to do. */
  inputsDigest: z.string().regex(/^[0-9a-f]{64}$/),
  seed: z.number().int(),
  /** Share of held-out digits named rightly when it was fitted, 0 to 1. */
  accuracy: z.number().min(0).max(1),
  heldOutDigits: z.number().int().positive(),
  batch: z.number().int().min(1).max(4096),
});
export type PracticeCard = z.infer<typeof practiceCardSchema>;

export interface PracticeModel {
  readonly network: Network;
  readonly bytes: Uint8Array;
  readonly digest: Sha256Hex;
}

/** Draws digits, fits the network and exports it; some seconds of one core, the same bytes each time. */
export function makePracticeModel(options: PracticeModelOptions = PRACTICE_MODEL): PracticeModel {
  const { seed, first, second, epochs } = options;
  const training = drawDigits(options.trainingDigits, seed, PURPOSE.training);
  const network = fitNetwork(training, { seed, epochs, size: { first, second } });
  const bytes = exportNetwork(network);
  return { network, bytes, digest: digestOf(bytes) };
}

/** Digits that the network of this seed was not fitted on. */
export function heldOutDigits(options: PracticeModelOptions = PRACTICE_MODEL): Digits {
  return drawDigits(options.heldOutDigits, options.seed, PURPOSE.heldOut);
}

export function digestOf(bytes: Uint8Array): Sha256Hex {
  return sha256Hex(createHash('sha256').update(bytes).digest('hex'));
}

/** The network as an ONNX file with an open batch. */
export function exportNetwork(network: Network): Uint8Array {
  const graph = new GraphBuilder();
  const images = graph.input(INPUT, 'float32', ['batch', 1, IMAGE_SIDE, IMAGE_SIDE]);
  // Moving by convolution and not by padding and slicing: every provider has it.
  const views = conv2d(images, graph.constant(shiftFilters(), [VIEWS, 1, 3, 3], 'shifts'), { padding: 1 });
  let value = reshape(views, [-1, 1, IMAGE_SIDE, IMAGE_SIDE]);
  for (const [k, { features, channels, kernel, filters, bias }] of network.layers.entries()) {
    const weights = graph.constant(filters, [features, channels, kernel, kernel], `filters.${k}`);
    const offsets = graph.constant(bias, [features], `bias.${k}`);
    value = maxPool2d(relu(conv2d(value, weights, { bias: offsets, padding: (kernel - 1) / 2 })), 2);
  }
  const last = network.layers.at(-1)?.features ?? 0;
  const width = featureCount({ first: 0, second: last });
  const weights = graph.constant(network.weights, [width, CLASSES], 'read-out.weights');
  const bias = graph.constant(network.bias, [CLASSES], 'read-out.bias');
  const scores = reshape(linear(flatten(value), weights, bias), [-1, VIEWS, CLASSES]);
  return graph.build({ [OUTPUT]: reduceSum(scores, [1], false) }, 'practice-digits');
}
