import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { drawDigits } from '#core/requester/practice/digits.ts';
import { fitNetwork } from '#core/requester/practice/fit.ts';
import { digestOf, exportNetwork } from '#core/requester/practice/model.ts';
import { checkPractice, practiceShard, practiceWorkload } from '#core/requester/practice/workload.ts';
import type { Tensor } from '#shared/model/tensor.ts';

const LABELS = Uint8Array.of(3, 0);

function logits(values: readonly number[], dims: readonly number[] = [2, 10]): Tensor {
  return { dtype: 'float32', dims, bytes: new Uint8Array(Float32Array.from(values).buffer) };
}

/** Rows that name these classes. */
function naming(...classes: readonly number[]): number[] {
  return classes.flatMap((label) => Array.from({ length: 10 }, (_, k) => (k === label ? 5 : -1)));
}

describe('practice shards', () => {
  it('are the same for the same seed and index, and others for others', () => {
    const shard = practiceShard(1, 5, 3);
    expect(practiceShard(1, 5, 3)).toEqual(shard);
    expect(practiceShard(1, 6, 3)).not.toEqual(shard);
    expect(practiceShard(2, 5, 3)).not.toEqual(shard);
    expect(practiceShard(1, 5 + 2 ** 32, 3)).not.toEqual(shard);
  });

  it('hold a batch of images as a tensor, and a label for each', () => {
    const { inputs, labels } = practiceShard(1, 0, 3);
    expect(inputs['images']).toMatchObject({ dtype: 'float32', dims: [3, 1, 28, 28] });
    expect(inputs['images']?.bytes.byteLength).toBe(3 * 28 * 28 * 4);
    expect(labels.length).toBe(3);
  });
});

describe('checking answers', () => {
  it('counts the images named rightly', () => {
    expect(checkPractice({ logits: logits(naming(3, 0)) }, LABELS)).toEqual({ correct: 2, total: 2 });
    expect(checkPractice({ logits: logits(naming(3, 1)) }, LABELS)).toEqual({ correct: 1, total: 2 });
  });

  it('counts what is missing, misshapen or not a number as wrong', () => {
    const nothing = { correct: 0, total: 2 };
    expect(checkPractice({}, LABELS)).toEqual(nothing);
    expect(checkPractice({ logits: logits(naming(3, 0), [20]) }, LABELS)).toEqual(nothing);
    expect(checkPractice({ logits: logits(naming(3)) }, LABELS)).toEqual(nothing);
    expect(checkPractice({ logits: { ...logits(naming(3, 0)), dtype: 'int32' } }, LABELS)).toEqual(nothing);
    expect(checkPractice({ logits: logits(Array.from({ length: 20 }, () => NaN)) }, LABELS)).toEqual(nothing);
  });
});

describe('loading the practice model', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'hearth-practice-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  const bytes = exportNetwork(fitNetwork(drawDigits(10, 1), { size: { first: 4, second: 4 }, seed: 1, epochs: 1 }));
  const card = {
    version: 1,
    modelDigest: digestOf(bytes),
    inputsDigest: 'a'.repeat(64),
    seed: 1,
    accuracy: 0.98,
    heldOutDigits: 10,
    batch: 16,
  };

  async function load(
    model: Uint8Array | undefined,
    beside: unknown,
  ): Promise<Awaited<ReturnType<typeof practiceWorkload>>> {
    const modelPath = path.join(folder, 'digits.onnx');
    if (model !== undefined) await writeFile(modelPath, model);
    if (beside !== undefined) await writeFile(path.join(folder, 'digits.json'), JSON.stringify(beside));
    return practiceWorkload({ modelPath, seed: 3 });
  }

  it('gives the model and shards of the card’s size', async () => {
    const workload = await load(bytes, card);
    if (!workload.ok) throw new Error(workload.error.message);
    expect(workload.value).toMatchObject({ modelDigest: card.modelDigest, batch: 16, expectedAccuracy: 0.98 });
    expect(new Uint8Array(workload.value.model)).toEqual(bytes);
    expect(workload.value.shardAt(4)).toEqual(practiceShard(3, 4, 16));
  });

  it('says how to get a model that is missing, and one that is damaged', async () => {
    expect(await load(undefined, undefined)).toMatchObject({ ok: false, error: { code: 'practice.model_missing' } });
    const damaged = { ok: false, error: { code: 'practice.model_damaged' } };
    expect(await load(bytes.subarray(1), card)).toMatchObject(damaged);
    expect(await load(bytes, { ...card, batch: 0 })).toMatchObject(damaged);
  });
});
