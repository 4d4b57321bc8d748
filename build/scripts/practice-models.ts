// Makes the practice network's model: draws digits, fits a classifier, writes it as ONNX with its card.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { CLASSES, IMAGE_PIXELS, IMAGE_SIDE } from '../../electron/core/requester/practice/digits.ts';
import {
  INPUT,
  OUTPUT,
  PRACTICE_MODEL,
  type PracticeCard,
  type PracticeModelOptions,
  digestOf,
  heldOutDigits,
  makePracticeModel,
  practiceCardSchema,
} from '../../electron/core/requester/practice/model.ts';
import { bestClass } from '../../electron/core/requester/practice/network.ts';
import { cardPath } from '../../electron/core/requester/practice/workload.ts';

const root = path.resolve(import.meta.dirname, '../..');

/** Below it the fit has gone wrong, and contributors would be blamed for wrong answers. */
const LEAST_ACCURACY = 0.97;

export interface BuiltPracticeModel {
  readonly modelPath: string;
  readonly card: PracticeCard;
  /** False where what was there is what would be made. */
  readonly made: boolean;
}

/**
 * Writes `<out>/digits.onnx` and `<out>/digits.json`, out/practice by default. Does nothing when both are there and
 * were made from the same sources and options.
 */
export async function buildPracticeModels(
  options: { readonly out?: string; readonly model?: PracticeModelOptions; readonly leastAccuracy?: number } = {},
): Promise<BuiltPracticeModel> {
  const out = options.out ?? path.join(root, 'out/practice');
  const model = options.model ?? PRACTICE_MODEL;
  const modelPath = path.join(out, 'digits.onnx');
  const inputsDigest = digestOfInputs(model);
  const present = presentCard(modelPath);
  if (present?.inputsDigest === inputsDigest) return { modelPath, card: present, made: false };
  const { bytes, digest } = makePracticeModel(model);
  const accuracy = await accuracyOf(bytes, model);
  if (accuracy < (options.leastAccuracy ?? LEAST_ACCURACY)) {
    throw new Error(`the practice model names only ${(accuracy * 100).toFixed(1)} % of held-out digits rightly`);
  }
  const card: PracticeCard = {
    version: 1,
    modelDigest: digest,
    inputsDigest,
    seed: model.seed,
    accuracy,
    heldOutDigits: model.heldOutDigits,
    batch: model.batch,
  };
  mkdirSync(out, { recursive: true });
  // The card last: a build that is cut short is made again.
  writeWhole(modelPath, bytes);
  writeWhole(cardPath(modelPath), `${JSON.stringify(card, undefined, 2)}\n`);
  return { modelPath, card, made: true };
}

/** Share of held-out digits named rightly by the very file, in the runtime that shards run in. */
async function accuracyOf(bytes: Uint8Array, model: PracticeModelOptions): Promise<number> {
  const { images, labels } = heldOutDigits(model);
  const session = await InferenceSession.create(bytes, { executionProviders: ['cpu'] });
  let correct = 0;
  for (let from = 0; from < labels.length; from += model.batch) {
    const batch = labels.subarray(from, from + model.batch);
    const pixels = images.subarray(from * IMAGE_PIXELS, (from + batch.length) * IMAGE_PIXELS);
    const tensor = new Tensor('float32', pixels, [batch.length, 1, IMAGE_SIDE, IMAGE_SIDE]);
    const scores = (await session.run({ [INPUT]: tensor }))[OUTPUT]?.data;
    if (!(scores instanceof Float32Array)) throw new Error('the practice model has no scores');
    correct += batch.filter((label, k) => bestClass(scores, k * CLASSES) === label).length;
  }
  await session.release();
  return correct / labels.length;
}

function presentCard(modelPath: string): PracticeCard | undefined {
  try {
    const card = practiceCardSchema.parse(JSON.parse(readFileSync(cardPath(modelPath), 'utf8')));
    return card.modelDigest === digestOf(readFileSync(modelPath)) ? card : undefined;
  } catch {
    return undefined;
  }
}

/** Every source that has a say in the model's bytes, and the options. */
function digestOfInputs(model: PracticeModelOptions): string {
  const hash = createHash('sha256').update(JSON.stringify(model));
  for (const folder of ['electron/core/requester/practice', 'shared/onnx/builder', 'shared/onnx/proto']) {
    for (const file of readdirSync(path.join(root, folder)).sort()) {
      hash.update(file).update(readFileSync(path.join(root, folder, file)));
    }
  }
  return hash.digest('hex');
}

function writeWhole(file: string, content: Uint8Array | string): void {
  writeFileSync(`${file}.tmp`, content);
  renameSync(`${file}.tmp`, file);
}

if (process.argv[1] === import.meta.filename) {
  const started = performance.now();
  const { modelPath, card, made } = await buildPracticeModels();
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const state = made ? `made in ${seconds} s` : 'up to date';
  console.log(
    `practice model ${state}: ${path.relative(root, modelPath)}, ${(card.accuracy * 100).toFixed(1)} % right`,
  );
}
