import { readFile } from 'node:fs/promises';
import type { AppError } from '#shared/errors.ts';
import { appError } from '#shared/errors.ts';
import type { NamedTensors } from '#shared/model/tensor.ts';
import { type Result, err, ok } from '#shared/result.ts';
import type { Sha256Hex } from '#shared/units.ts';
import { CLASSES, IMAGE_SIDE, drawDigits } from './digits.ts';
import { INPUT, OUTPUT, PURPOSE, type PracticeCard, digestOf, practiceCardSchema } from './model.ts';
import { bestClass } from './network.ts';

export type PracticeError = AppError<'practice.model_missing' | 'practice.model_damaged'>;

export interface PracticeShard {
  readonly inputs: NamedTensors;
  /** The digit that each image shows: the answer, known to the requester alone. */
  readonly labels: Uint8Array;
}

export interface PracticeScore {
  readonly correct: number;
  readonly total: number;
}

/** An endless stream of work whose answers can be checked. */
export interface PracticeWorkload {
  readonly model: Uint8Array;
  readonly modelDigest: Sha256Hex;
  /** Share of digits that an honest run gets right, 0 to 1, as measured when the model was fitted. */
  readonly expectedAccuracy: number;
  /** Images in a shard. */
  readonly batch: number;
  /** Equal seed and index give equal shards, on every machine. */
  readonly shardAt: (index: number) => PracticeShard;
  /** How many images were named rightly. Outputs come from strangers: what is missing or misshapen counts as wrong. */
  readonly check: (outputs: NamedTensors, labels: Uint8Array) => PracticeScore;
}

export interface PracticeWorkloadOptions {
  /** The ONNX file; its card stands beside it, with .json in place of .onnx. */
  readonly modelPath: string;
  /** Decides the digits of all shards. */
  readonly seed: number;
  /** Images in a shard; the card's by default. */
  readonly batch?: number;
}

/** Loads the practice model and checks it against its card. */
export async function practiceWorkload(
  options: PracticeWorkloadOptions,
): Promise<Result<PracticeWorkload, PracticeError>> {
  const loaded = await load(options.modelPath);
  if (!loaded.ok) return loaded;
  const { model, card } = loaded.value;
  const batch = options.batch ?? card.batch;
  return ok({
    model,
    modelDigest: card.modelDigest,
    expectedAccuracy: card.accuracy,
    batch,
    shardAt: (index) => practiceShard(options.seed, index, batch),
    check: checkPractice,
  });
}

export function practiceShard(seed: number, index: number, batch: number): PracticeShard {
  const high = Math.floor(index / 0x1_0000_0000);
  const { images, labels } = drawDigits(batch, seed, PURPOSE.shard, index >>> 0, high);
  const bytes = new Uint8Array(images.buffer, images.byteOffset, images.byteLength);
  return { inputs: { [INPUT]: { dtype: 'float32', dims: [batch, 1, IMAGE_SIDE, IMAGE_SIDE], bytes } }, labels };
}

export function checkPractice(outputs: NamedTensors, labels: Uint8Array): PracticeScore {
  const total = labels.length;
  const scores = outputs[OUTPUT];
  const fits =
    scores?.dtype === 'float32' &&
    scores.dims.length === 2 &&
    scores.dims[0] === total &&
    scores.dims[1] === CLASSES &&
    scores.bytes.byteLength === total * CLASSES * 4;
  if (!fits) return { correct: 0, total };
  const values = new Float32Array(scores.bytes.slice().buffer);
  // A row with a NaN names nothing: comparisons with it are all false and would pass for class 0.
  const rowIsFinite = (row: number): boolean => values.subarray(row, row + CLASSES).every(Number.isFinite);
  const correct = labels.reduce((count, label, k) => {
    return rowIsFinite(k * CLASSES) && bestClass(values, k * CLASSES) === label ? count + 1 : count;
  }, 0);
  return { correct, total };
}

async function load(
  modelPath: string,
): Promise<Result<{ readonly model: Uint8Array; readonly card: PracticeCard }, PracticeError>> {
  let model: Uint8Array;
  let text: string;
  try {
    model = await readFile(modelPath);
    text = await readFile(cardPath(modelPath), 'utf8');
  } catch {
    const remedy = 'Run `npm run build`, which makes it.';
    return err(appError('practice.model_missing', `The practice model is not at ${modelPath}.`, { remedy }));
  }
  const card = practiceCardSchema.safeParse(jsonOf(text));
  if (!card.success || card.data.modelDigest !== digestOf(model)) {
    const remedy = 'Delete it and run `npm run build`, which makes it anew.';
    return err(
      appError('practice.model_damaged', `The practice model at ${modelPath} and its card disagree.`, { remedy }),
    );
  }
  return ok({ model, card: card.data });
}

/** digits.onnx has its card in digits.json. */
export function cardPath(modelPath: string): string {
  return modelPath.replace(/\.onnx$/, '.json');
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
