import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { afterAll, describe, expect, it } from 'vitest';
import { buildPracticeModels } from '../../../build/scripts/practice-models.ts';
import { IMAGE_PIXELS } from '#core/requester/practice/digits.ts';
import { PRACTICE_MODEL, heldOutDigits, makePracticeModel } from '#core/requester/practice/model.ts';
import { forward } from '#core/requester/practice/network.ts';
import { checkPractice, practiceWorkload } from '#core/requester/practice/workload.ts';
import type { NamedTensors } from '#shared/model/tensor.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'hearth-practice-'));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

async function run(session: InferenceSession, inputs: NamedTensors): Promise<NamedTensors> {
  const images = inputs['images']!;
  const data = new Float32Array(images.bytes.slice().buffer);
  const { logits } = await session.run({ images: new Tensor('float32', data, [...images.dims]) });
  const scores = logits!.data as Float32Array;
  const bytes = new Uint8Array(scores.buffer, scores.byteOffset, scores.byteLength);
  return { logits: { dtype: 'float32', dims: [...logits!.dims], bytes } };
}

describe('the practice model in the runtime', () => {
  it('is made the same each time, answers as the reference does, and is as right as its card says', async () => {
    const built = await buildPracticeModels();
    const again = makePracticeModel();
    expect(again.digest).toBe(built.card.modelDigest);

    const session = await InferenceSession.create(again.bytes, { executionProviders: ['cpu'] });
    const { images } = heldOutDigits({ ...PRACTICE_MODEL, heldOutDigits: 32 });
    const bytes = new Uint8Array(images.buffer);
    const answer = await run(session, { images: { dtype: 'float32', dims: [32, 1, 28, 28], bytes } });
    const scores = new Float32Array(answer['logits']!.bytes.slice().buffer);
    const reference = forward(again.network, images);
    const largest = reference.reduce((most, score) => Math.max(most, Math.abs(score)), 0);
    const worst = reference.reduce((most, score, k) => Math.max(most, Math.abs(score - scores[k]!)), 0);
    expect(reference.length).toBe((images.length / IMAGE_PIXELS) * 10);
    expect(worst / largest).toBeLessThan(1e-5);

    const workload = await practiceWorkload({ modelPath: built.modelPath, seed: 11 });
    if (!workload.ok) throw new Error(workload.error.message);
    let correct = 0;
    let total = 0;
    for (let index = 0; index < 24; index++) {
      const shard = workload.value.shardAt(index);
      const score = workload.value.check(await run(session, shard.inputs), shard.labels);
      correct += score.correct;
      total += score.total;
    }
    await session.release();
    expect(built.card.accuracy).toBeGreaterThanOrEqual(0.97);
    expect(correct / total).toBeGreaterThanOrEqual(0.97);
    expect(Math.abs(correct / total - built.card.accuracy)).toBeLessThan(0.02);
  });

  it('is made anew only when a source, an option or the file itself changed', async () => {
    const model = { ...PRACTICE_MODEL, first: 4, second: 4, trainingDigits: 100, heldOutDigits: 50, epochs: 1 };
    const build = (options: Partial<typeof model> = {}) =>
      buildPracticeModels({ out: folder, model: { ...model, ...options }, leastAccuracy: 0 });
    const first = await build();
    const bytes = readFileSync(first.modelPath);
    expect(first.made).toBe(true);
    expect((await build()).made).toBe(false);
    writeFileSync(first.modelPath, bytes.subarray(1));
    expect((await build()).made).toBe(true);
    expect(readFileSync(first.modelPath)).toEqual(bytes);
    expect((await build({ seed: 2 })).made).toBe(true);
    await expect(buildPracticeModels({ out: folder, model, leastAccuracy: 0.999 })).rejects.toThrow('held-out');
  });

  it('counts a lie as wrong answers', async () => {
    const built = await buildPracticeModels();
    const workload = await practiceWorkload({ modelPath: built.modelPath, seed: 11 });
    if (!workload.ok) throw new Error(workload.error.message);
    const { labels } = workload.value.shardAt(0);
    const zeros = { dtype: 'float32', dims: [labels.length, 10], bytes: new Uint8Array(labels.length * 40) } as const;
    expect(checkPractice({ logits: zeros }, labels).correct).toBeLessThan(labels.length / 2);
  });
});
