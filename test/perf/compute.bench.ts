import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { createCompute, type ComputePool } from '#core/compute/create-compute.ts';
import type { ModelSource } from '#core/compute/port.ts';
import type { NamedTensors } from '#shared/model/tensor.ts';
import { executorFiles, repositoryRoot, scoringModel, sourceOf, workModel } from '#support/compute-models.ts';
import type { BareAnswer, BareRequest } from '#support/bare-runtime.ts';
import { f32 } from '#support/tensors.ts';
import type { Measure, Row } from './row.ts';

const CPU = { backend: 'cpu', device: 0 } as const;
/** 36 KiB in: a small picture's worth. */
const SIDE = 96;
/** One core is left to the side that sends, as on a contributor's machine. */
const threads = Math.max(1, availableParallelism() - 1);

interface Subject {
  readonly bytes: Uint8Array;
  readonly source: ModelSource;
  /** What one shard takes in the bare loop, about. */
  readonly ms: number;
  readonly what: string;
  readonly goal: string | undefined;
}

const input = Float32Array.from({ length: SIDE * SIDE }, (_, k) => (k % SIDE === Math.floor(k / SIDE) ? 0.5 : 0));
const shard: NamedTensors = { x: f32([...input], [SIDE, SIDE]) };

/** Shard throughput through the port against the runtime's bare loop, start and release of an executor. */
export const measure: Measure = async ({ quick }) => {
  const bare = fork(path.join(repositoryRoot, 'test/support/bare-runtime.ts'), {
    serialization: 'advanced',
    env: { ...process.env, ORT_DISABLE_TELEMETRY: '1' },
  });
  const pool = createCompute({ ...executorFiles, threads });
  try {
    const perProductMs = await calibrate(bare);
    const rows: Row[] = [];
    for (const [ms, what, makeModel, goal] of [
      [1, '36 KiB in, 384 B out', scoringModel, '>= 0.9'],
      [1, '36 KiB in and out', workModel, undefined],
      [10, '36 KiB in and out', workModel, '>= 0.98'],
    ] as const) {
      const bytes = makeModel(Math.max(1, Math.round(ms / perProductMs)));
      const subject = { bytes, source: sourceOf(bytes), ms, what, goal };
      rows.push(...(await throughput(bare, pool, subject, quick)));
    }
    return [...rows, ...(await lifecycle(pool))];
  } finally {
    bare.kill('SIGKILL');
    await pool.stop();
  }
};

async function calibrate(bare: ChildProcess): Promise<number> {
  const bytes = workModel(20);
  await bareLoop(bare, bytes, 50);
  return (await bareLoop(bare, bytes, 200)) / 200 / 20;
}

async function bareLoop(bare: ChildProcess, model: Uint8Array, shards: number): Promise<number> {
  const request: BareRequest = { model, input, dims: [SIDE, SIDE], threads, shards };
  bare.send(request);
  const [answer] = (await once(bare, 'message')) as [BareAnswer];
  return answer.elapsedMs;
}

async function portLoop(pool: ComputePool, source: ModelSource, shards: number): Promise<number> {
  const batch = Array.from({ length: shards }, () => shard);
  const started = performance.now();
  const answer = await pool.run(source, batch, { placement: CPU, deadlineMs: 120_000 });
  const elapsedMs = performance.now() - started;
  const failed = answer.ok ? answer.value.results.find((result) => !result.ok) : answer;
  if (failed?.ok === false) throw new Error(failed.error.message);
  return elapsedMs;
}

/** Both sides in turn, many short times, so that whatever else the machine does falls on both. */
async function throughput(
  bare: ChildProcess,
  pool: ComputePool,
  { bytes, source, ms, what, goal }: Subject,
  quick: boolean,
): Promise<readonly Row[]> {
  const shards = Math.round((quick ? 100 : 300) / ms);
  await bareLoop(bare, bytes, 5);
  await portLoop(pool, source, 5);
  const ratios: number[] = [];
  let portMs = 0;
  const rounds = quick ? 7 : 25;
  for (let round = 0; round < rounds; round += 1) {
    const alone = await bareLoop(bare, bytes, shards);
    const through = await portLoop(pool, source, shards);
    ratios.push(alone / through);
    portMs += through;
  }
  const name = `compute: ${ms} ms shards (${what})`;
  const ratio = { name: `${name} through the port, of the bare loop`, value: median(ratios), unit: 'ratio' };
  return [
    goal === undefined ? ratio : { ...ratio, goal },
    { name: `${name} a second`, value: (shards * rounds * 1000) / portMs, unit: '1/s' },
  ];
}

async function lifecycle(pool: ComputePool): Promise<readonly Row[]> {
  const source = sourceOf(workModel(1));
  const starts: number[] = [];
  const releases: number[] = [];
  for (let round = 0; round < 3; round += 1) {
    const releasing = performance.now();
    await pool.release(CPU);
    releases.push(performance.now() - releasing);
    const starting = performance.now();
    await portLoop(pool, source, 1);
    starts.push(performance.now() - starting);
  }
  return [
    { name: 'compute: executor released, process gone', value: median(releases), unit: 'ms', goal: '< 250' },
    { name: 'compute: from no executor to the first answer', value: median(starts), unit: 'ms' },
  ];
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}
