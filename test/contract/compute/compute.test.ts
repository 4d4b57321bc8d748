import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { createCompute } from '#core/compute/create-compute.ts';
import type { Compute, ModelInfo, ModelSource, RunOptions } from '#core/compute/port.ts';
import type { NamedTensors } from '#shared/model/tensor.ts';
import { doublingModel, executorFiles, heavyInput, lightInput, sourceOf, workModel } from '#support/compute-models.ts';
import { createFakeCompute, type FakeModel } from '#support/fake-compute.ts';
import { f32, f64, float32Values } from '#support/tensors.ts';

const CPU = { backend: 'cpu', device: 0 } as const;
const doubling = sourceOf(doublingModel());
const work = sourceOf(workModel());

const infoOf = (source: ModelSource, dims: readonly number[]): ModelInfo => ({
  digest: source.digest,
  inputs: [{ name: 'x', dtype: 'float32', dims }],
  outputs: [{ name: 'y', dtype: 'float32', dims }],
  peakBytes: 1024,
});

const fakes: readonly FakeModel[] = [
  {
    info: infoOf(doubling, [-1]),
    compute: ({ x }) => ({ y: f32(float32Values(x).map((value) => value * 2)) }),
  },
  {
    info: infoOf(work, [-1, -1]),
    compute: async ({ x }, signal) => {
      if (x?.dims[0] !== 1) await delay(60_000, undefined, { signal }).catch(() => undefined);
      return { y: f32([1], [1, 1]) };
    },
  },
];

const implementations: readonly { readonly name: string; readonly create: () => Compute }[] = [
  { name: 'the pool of executors', create: () => createCompute({ ...executorFiles, threads: 1 }) },
  { name: 'the fake', create: () => createFakeCompute({ models: fakes }) },
];

const how = (more: Partial<RunOptions> = {}): RunOptions => ({ placement: CPU, deadlineMs: 20_000, ...more });
const x = (...values: readonly number[]): NamedTensors => ({ x: f32(values) });

async function untilBusy(compute: Compute): Promise<void> {
  while (!compute.status().executors.some(({ state, loaded }) => state === 'busy' && loaded.includes(work.digest)))
    await delay(5);
}

describe.each(implementations)('Compute: $name', ({ create }) => {
  let shared: Compute | undefined;
  const mine: Compute[] = [];
  const compute = () => (shared ??= create());
  const own = () => {
    const made = create();
    mine.push(made);
    return made;
  };

  afterEach(async () => {
    await Promise.all(mine.splice(0).map((each) => each.stop()));
  });
  afterAll(async () => {
    await shared?.stop();
  });

  async function expectWorking(): Promise<void> {
    const answer = await compute().run(doubling, [x(21)], how());
    expect(answer).toMatchObject({ ok: true, value: { results: [{ ok: true }] } });
  }

  it('tells what a prepared model takes and gives', async () => {
    const info = await compute().prepare(doubling, CPU);
    expect(info).toMatchObject({
      ok: true,
      value: {
        digest: doubling.digest,
        inputs: [{ name: 'x', dtype: 'float32', dims: [-1] }],
        outputs: [{ name: 'y', dtype: 'float32', dims: [-1] }],
      },
    });
    expect(compute().status().executors).toMatchObject([{ placement: CPU, loaded: [doubling.digest] }]);
  });

  it('answers every shard of a batch, in order', async () => {
    const batch = Array.from({ length: 100 }, (_, k) => x(k, k + 0.5));
    const answer = await compute().run(doubling, batch, how());
    if (!answer.ok) throw new Error(answer.error.message);
    const values = answer.value.results.map((result) => (result.ok ? float32Values(result.value['y']) : result.error));
    expect(values).toEqual(batch.map((_, k) => [2 * k, 2 * k + 1]));
    expect(answer.value.computeMs).toBeGreaterThan(0);
  });

  it('answers batches that were asked for at the same time', async () => {
    const answers = await Promise.all([1, 2, 3].map((k) => compute().run(doubling, [x(k)], how())));
    const values = answers.map((answer) => answer.ok && answer.value.results.map((r) => r.ok && r.value['y']));
    expect(values).toEqual([[f32([2])], [f32([4])], [f32([6])]]);
  });

  it('answers an empty batch with no results', async () => {
    expect(await compute().run(doubling, [], how())).toMatchObject({ ok: true, value: { results: [] } });
  });

  it.each<[string, NamedTensors]>([
    ['of another type', { x: f64([1]) }],
    ['of another rank', { x: f32([1], [1, 1]) }],
    ['under another name', { z: f32([1]) }],
    ['that is missing', {}],
    ['beside one the model does not have', { x: f32([1]), z: f32([1]) }],
  ])('refuses an input %s, and only that shard', async (_, bad) => {
    const answer = await compute().run(doubling, [x(1), bad, x(2)], how());
    expect(answer).toMatchObject({
      ok: true,
      value: { results: [{ ok: true }, { ok: false, error: { code: 'compute.input_invalid' } }, { ok: true }] },
    });
  });

  it('refuses a shard whose output is larger than agreed, and only that shard', async () => {
    const answer = await compute().run(doubling, [x(1), x(1, 2, 3)], how({ maxOutputBytes: 8 }));
    expect(answer).toMatchObject({
      ok: true,
      value: { results: [{ ok: true }, { ok: false, error: { code: 'compute.output_too_large' } }] },
    });
  });

  it('ends a batch at its deadline and goes on working', async () => {
    await compute().prepare(work, CPU);
    const answer = await compute().run(work, [heavyInput()], how({ deadlineMs: 150 }));
    expect(answer).toMatchObject({ ok: false, error: { code: 'compute.deadline' } });
    await expectWorking();
  });

  it('keeps the shards that were answered before the deadline', async () => {
    await compute().prepare(work, CPU);
    const answer = await compute().run(work, [lightInput(), heavyInput(), lightInput()], how({ deadlineMs: 800 }));
    expect(answer).toMatchObject({
      ok: true,
      value: {
        results: [
          { ok: true },
          { ok: false, error: { code: 'compute.deadline' } },
          { ok: false, error: { code: 'compute.deadline' } },
        ],
      },
    });
    await expectWorking();
  });

  it('ends a batch when its signal aborts and goes on working', async () => {
    await compute().prepare(work, CPU);
    const abort = new AbortController();
    const answer = compute().run(work, [heavyInput()], how({ signal: abort.signal }));
    await untilBusy(compute());
    abort.abort();
    expect(await answer).toMatchObject({ ok: false, error: { code: 'compute.killed' } });
    await expectWorking();
  });

  it('starts nothing for a signal that has aborted already', async () => {
    const signal = AbortSignal.abort();
    expect(await compute().run(doubling, [x(1)], how({ signal }))).toMatchObject({ error: { code: 'compute.killed' } });
    expect(await compute().prepare(doubling, CPU, signal)).toMatchObject({ error: { code: 'compute.killed' } });
  });

  it('ends what runs when the device is taken back, and starts anew when asked again', async () => {
    await compute().prepare(work, CPU);
    const answer = compute().run(work, [heavyInput()], how());
    await untilBusy(compute());
    await compute().release(CPU);
    expect(await answer).toMatchObject({ ok: false, error: { code: 'compute.killed' } });
    await expectWorking();
  });

  it('says that a device does not exist', async () => {
    const placement = { backend: 'cuda', device: 7 } as const;
    expect(await compute().run(doubling, [x(1)], how({ placement }))).toMatchObject({
      ok: false,
      error: { code: 'compute.backend_unavailable' },
    });
    expect(await compute().prepare(doubling, placement)).toMatchObject({
      error: { code: 'compute.backend_unavailable' },
    });
    await compute().release(placement);
  });

  it('says that a model is not what its digest names', async () => {
    const swapped = { ...sourceOf(Buffer.from('something else')), read: async () => doublingModel() };
    expect(await compute().run(swapped, [x(1)], how())).toMatchObject({ error: { code: 'compute.model_invalid' } });
  });

  it('ends what runs when it is stopped, and refuses what comes later', async () => {
    const stopping = own();
    await stopping.prepare(work, CPU);
    const answer = stopping.run(work, [heavyInput()], how());
    await untilBusy(stopping);
    await stopping.stop();
    expect(await answer).toMatchObject({ ok: false, error: { code: 'compute.stopped' } });
    expect(await stopping.run(work, [lightInput()], how())).toMatchObject({ error: { code: 'compute.stopped' } });
    expect(await stopping.prepare(work, CPU)).toMatchObject({ error: { code: 'compute.stopped' } });
    await stopping.stop();
  });
});
