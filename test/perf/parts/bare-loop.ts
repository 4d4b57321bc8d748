// The runtime in a bare loop, in a process of its own, over the same shards: what the whole path is measured against.
import * as ort from 'onnxruntime-node';
import { tensorBytes, type NamedTensors } from '#shared/model/tensor.ts';
import { answerParent } from './child.ts';
import { digitShards } from './digit-shards.ts';

export interface BareRequest {
  readonly batch: number;
  readonly forMs: number;
}

export interface Measured {
  readonly shards: number;
  readonly elapsedMs: number;
  readonly inputBytes: number;
}

interface Loop {
  readonly session: ort.InferenceSession;
  readonly feeds: readonly Record<string, ort.Tensor>[];
  readonly inputBytes: number;
}

const loops = new Map<number, Loop>();

async function loopFor(batch: number): Promise<Loop> {
  const known = loops.get(batch);
  if (known !== undefined) return known;
  const { model, shards } = await digitShards(batch);
  // The options of an executor's session.
  const session = await ort.InferenceSession.create(model, {
    executionProviders: ['cpu'],
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  });
  const loop = { session, feeds: shards.map(feedsOf), inputBytes: tensorBytes(shards[0] ?? {}) };
  loops.set(batch, loop);
  return loop;
}

function feedsOf(shard: NamedTensors): Record<string, ort.Tensor> {
  const entries = Object.entries(shard).map(([name, { bytes, dims }]) => [
    name,
    new ort.Tensor('float32', new Float32Array(bytes.slice().buffer), dims),
  ]);
  return Object.fromEntries(entries) as Record<string, ort.Tensor>;
}

answerParent({}, async ({ batch, forMs }: BareRequest): Promise<Measured> => {
  const { session, feeds, inputBytes } = await loopFor(batch);
  const started = performance.now();
  let shards = 0;
  let elapsedMs = 0;
  while (elapsedMs < forMs) {
    await session.run(feeds[shards % feeds.length] ?? {});
    shards += 1;
    elapsedMs = performance.now() - started;
  }
  return { shards, elapsedMs, inputBytes };
});
