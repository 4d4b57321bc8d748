import path from 'node:path';
import { practiceWorkload } from '#core/requester/practice/workload.ts';
import type { NamedTensors } from '#shared/model/tensor.ts';
import { repositoryRoot } from '#support/compute-models.ts';
import { valueOf } from './child.ts';

export interface DigitShards {
  readonly model: Uint8Array;
  readonly modelDigest: string;
  readonly shards: readonly NamedTensors[];
}

/** Drawn once and used in turn: what is measured is not how fast digits can be drawn. */
const DISTINCT = 32;

/** The practice model and shards of so many images, the same in every process. */
export async function digitShards(batch: number): Promise<DigitShards> {
  const modelPath = path.join(repositoryRoot, 'out/practice/digits.onnx');
  const { model, modelDigest, shardAt } = valueOf(await practiceWorkload({ modelPath, seed: 1, batch }));
  return { model, modelDigest, shards: Array.from({ length: DISTINCT }, (_, index) => shardAt(index).inputs) };
}
