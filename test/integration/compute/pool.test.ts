import path from 'node:path';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import type { ModelInfo, ModelSource } from '#core/compute/port.ts';
import type { BatchRequest } from '#core/compute/pool/batch.ts';
import type { ExecutorEnd } from '#core/compute/pool/executor-process.ts';
import { ExecutorSlot, type SlotSettings } from '#core/compute/pool/executor-slot.ts';
import { ok } from '#shared/result.ts';
import { GiB, MiB } from '#shared/units.ts';
import {
  doublingModel,
  endlessModel,
  executorFiles,
  hungryModel,
  infoOf,
  repositoryRoot,
  sourceOf,
} from '#support/compute-models.ts';
import { SCRIPT } from '#support/scripted-executor.ts';
import { f32, float32Values } from '#support/tensors.ts';

const CPU = { backend: 'cpu', device: 0 } as const;
const scripted = {
  executorEntry: path.join(repositoryRoot, 'test/support/scripted-executor.ts'),
  readableRoots: [...executorFiles.readableRoots, path.join(repositoryRoot, 'test/support')],
};
const model = sourceOf(doublingModel());

const slots: ExecutorSlot[] = [];
const deaths: ExecutorEnd[] = [];

function slot(settings: Partial<SlotSettings> = {}): ExecutorSlot {
  const made = new ExecutorSlot({
    files: executorFiles,
    tier: 'plain',
    placement: CPU,
    threads: 1,
    memoryBytes: 1 * GiB,
    sessionsBytes: 1 * GiB,
    idleMs: 60_000,
    onDeath: (end) => deaths.push(end),
    ...settings,
  });
  slots.push(made);
  return made;
}

function request(values: readonly number[], more: Partial<BatchRequest> = {}): BatchRequest {
  return {
    source: model,
    info: infoOf(model),
    shards: values.map((value) => ok({ x: f32([value]) })),
    deadlineMs: 20_000,
    maxOutputBytes: 64,
    ...more,
  };
}

const of = (source: ModelSource, info: ModelInfo = infoOf(source)) => ({ source, info });

/** Doubled numbers, or the codes of what went wrong. */
async function outcomes(answer: ReturnType<ExecutorSlot['run']>): Promise<readonly (number | string | undefined)[]> {
  const settled = await answer;
  if (!settled.ok) return [`whole batch: ${settled.error.code}`];
  return settled.value.results.map((result) => (result.ok ? float32Values(result.value['y'])[0] : result.error.code));
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await delay(5);
}

afterEach(async () => {
  await Promise.all(slots.splice(0).map((each) => each.release('stop')));
  deaths.length = 0;
});

describe('an executor that misbehaves', () => {
  it('costs the shard that kills it a coded error, after one more try, and the rest of the batch nothing', async () => {
    const under = slot({ files: scripted });
    expect(await outcomes(under.run(request([1, 2, SCRIPT.crash, 3, 4])))).toEqual([
      2,
      4,
      'compute.executor_crashed',
      6,
      8,
    ]);
    expect(deaths.map(({ reason }) => reason)).toEqual(['crash', 'crash']);
    expect(under.status()).toMatchObject({ restarts: 2, state: 'idle' });
  });

  it('is given up on when one batch keeps killing it', async () => {
    const values = [1, ...Array.from({ length: 6 }, () => SCRIPT.crashAlways), 3];
    const answers = await outcomes(slot({ files: scripted }).run(request(values)));
    expect(answers[0]).toBe(2);
    expect(new Set(answers.slice(1))).toEqual(new Set(['compute.executor_crashed']));
    expect(deaths).toHaveLength(5);
  });

  it.each([
    ['sends something else than frames', SCRIPT.garbage],
    ['answers another question', SCRIPT.wrongSeq],
    ['announces four gigabytes', SCRIPT.hugeHeader],
    ['sends more than was agreed', SCRIPT.oversize],
  ])('is killed when it %s, and the other shards are answered', async (_, script) => {
    const under = slot({ files: scripted });
    expect(await outcomes(under.run(request([1, script, 3])))).toEqual([2, 'compute.executor_crashed', 6]);
    expect(deaths.map(({ reason }) => reason)).toEqual(['garbage', 'garbage']);
  });

  it('is killed when it answers twice', async () => {
    const under = slot({ files: scripted });
    await outcomes(under.run(request([SCRIPT.twice])));
    await until(() => deaths.length > 0);
    expect(deaths[0]?.reason).toBe('garbage');
    expect(await outcomes(under.run(request([5])))).toEqual([10]);
  });

  it('may not answer with another shape than the model declares', async () => {
    expect(await outcomes(slot({ files: scripted }).run(request([SCRIPT.wrongDims, 1])))).toEqual([
      'compute.run_failed',
      2,
    ]);
  });

  it('cannot put control characters into our words', async () => {
    const answer = await slot({ files: scripted }).run(request([SCRIPT.badReason]));
    const result = answer.ok ? answer.value.results[0] : undefined;
    expect(result).toMatchObject({ error: { code: 'compute.run_failed', data: { reason: 'a [2J b' } } });
  });

  it('that hangs is killed at the deadline, and the next batch runs', async () => {
    const under = slot({ files: scripted });
    await under.run(request([1]));
    const hanging = outcomes(under.run(request([SCRIPT.hang], { deadlineMs: 200 })));
    const next = outcomes(under.run(request([4])));
    expect(await hanging).toEqual(['whole batch: compute.deadline']);
    expect(await next).toEqual([8]);
    expect(deaths).toEqual([]);
  });

  it.skipIf(process.platform === 'win32')(
    'that grows beyond its memory on a GPU, where the kernel sets no ceiling, is killed by the watchdog (needs /proc or ps)',
    async () => {
      const placement = { backend: 'webgpu', device: 0 } as const;
      const under = slot({ files: scripted, placement, memoryBytes: 128 * MiB });
      expect(await outcomes(under.run(request([1, SCRIPT.grow, 2])))).toEqual([2, 'compute.memory', 4]);
      expect(deaths.map(({ reason }) => reason)).toEqual(['memory', 'memory']);
    },
  );

  it('that is killed by somebody else in the middle of a batch is started again, and every shard answered', async () => {
    const under = slot({ files: scripted });
    await under.run(request([0]));
    const pid = under.status().pid ?? 0;
    const values = Array.from({ length: 4000 }, (_, k) => 1000 + k);
    const answer = outcomes(under.run(request(values)));
    setImmediate(() => process.kill(pid, 'SIGKILL'));
    expect(await answer).toEqual(values.map((value) => value * 2));
    expect(deaths).toHaveLength(1);
  });
});

describe('a model that misbehaves in the real runtime', () => {
  it('is killed at the deadline when it never ends', async () => {
    const endless = sourceOf(endlessModel());
    const under = slot();
    await under.run(request([1]));
    const { pid } = under.status();
    expect(await outcomes(under.run(request([1], { ...of(endless), deadlineMs: 300 })))).toEqual([
      'whole batch: compute.deadline',
    ]);
    expect(await outcomes(under.run(request([2])))).toEqual([4]);
    expect(alive(pid ?? 0)).toBe(false);
  });

  it('is refused as invalid when the runtime cannot load it', async () => {
    const broken = sourceOf(Buffer.from('no model'));
    expect(await outcomes(slot().run(request([1], of(broken))))).toEqual(['whole batch: compute.model_invalid']);
  });

  it('is refused when the runtime sees other inputs than admission did', async () => {
    const info = { ...infoOf(model), inputs: [{ name: 'other', dtype: 'float32', dims: [1] }] };
    expect(await outcomes(slot().run(request([], { ...of(model, info) })))).toEqual([
      'whole batch: compute.model_invalid',
    ]);
  });

  it.skipIf(process.platform !== 'linux')(
    'cannot take more memory than executors may (needs Linux: /proc and prlimit)',
    async () => {
      const hungry = sourceOf(hungryModel(2));
      const under = slot({ memoryBytes: 256 * MiB });
      expect(await outcomes(under.run(request([1], of(hungry, infoOf(hungry, [1], [1, 1])))))).toEqual([
        'compute.memory',
      ]);
      // The allocation failed inside the executor, which lives on.
      expect(deaths).toEqual([]);
      expect(await outcomes(under.run(request([2])))).toEqual([4]);
    },
  );

  it('that needs more than the budget for models is refused before it is loaded', async () => {
    const info = { ...infoOf(model), peakBytes: 2 * GiB };
    expect(await outcomes(slot().run(request([1], of(model, info))))).toEqual(['whole batch: compute.memory']);
  });
});

describe('an executor and its owner', () => {
  it('is gone within 250 ms of a release, in the middle of work', async () => {
    const endless = sourceOf(endlessModel());
    const under = slot();
    const answer = outcomes(under.run(request([1], of(endless))));
    await until(() => under.status().loaded.includes(endless.digest));
    const pid = under.status().pid ?? 0;
    const started = performance.now();
    await under.release('release');
    expect(performance.now() - started).toBeLessThan(250);
    expect(alive(pid)).toBe(false);
    expect(await answer).toEqual(['whole batch: compute.killed']);
    expect(under.status()).toMatchObject({ state: 'stopped', pid: undefined, loaded: [], restarts: 0 });
  });

  it('is ended when nobody used it for a while', async () => {
    const under = slot({ idleMs: 20 });
    await under.run(request([1]));
    await until(() => under.status().state === 'stopped');
    expect(await outcomes(under.run(request([1])))).toEqual([2]);
  });

  it('forgets the least recently used model when a new one needs the room, and loads it again when asked', async () => {
    const reads: string[] = [];
    const named = (name: string, seed: number): Pick<BatchRequest, 'source' | 'info'> => {
      const source = sourceOf(doublingModel());
      const bytes = Buffer.concat([doublingModel(), Buffer.from([0x12, 1, 65 + seed])]);
      const counted = { ...sourceOf(bytes), read: async () => (reads.push(name), bytes) };
      return { source: counted, info: { ...infoOf({ ...source, ...counted }), peakBytes: 400 } };
    };
    const [a, b, c] = [named('a', 1), named('b', 2), named('c', 3)];
    const under = slot({ sessionsBytes: 1000 });
    for (const each of [a, b, a, c, a, b]) expect(await outcomes(under.run(request([1], each)))).toEqual([2]);
    expect(reads).toEqual(['a', 'b', 'c', 'b']);
    expect(under.status().loaded).toEqual([a.source.digest, b.source.digest]);
  });

  it('is called unavailable when it does not start', async () => {
    const files = { ...executorFiles, executorEntry: path.join(repositoryRoot, 'no-such-file.ts') };
    expect(await outcomes(slot({ files }).run(request([1])))).toEqual(['whole batch: compute.executor_unavailable']);
    expect(deaths).toHaveLength(3);
  });

  it('is not held up by a model that cannot be read', async () => {
    const under = slot();
    const stuck = { ...model, read: () => new Promise<Uint8Array>(() => undefined) };
    const gone = { ...model, read: () => Promise.reject(new Error('disk gone')) };
    expect(await outcomes(under.run(request([1], { source: gone })))).toEqual(['whole batch: compute.model_invalid']);
    expect(await outcomes(under.run(request([1], { source: stuck, deadlineMs: 500 })))).toEqual([
      'whole batch: compute.deadline',
    ]);
    expect(await outcomes(under.run(request([3])))).toEqual([6]);
  });

  it('takes up a batch that comes in the very moment when the one before has failed', async () => {
    const under = slot();
    const gone = { ...model, read: () => Promise.reject(new Error('disk gone')) };
    for (let turns = 0; turns < 12; turns += 1) {
      await under.run(request([1], { ...of({ ...gone, digest: sourceOf(Buffer.from([turns])).digest }) }));
      for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
      expect(await outcomes(under.run(request([3], { deadlineMs: 1000 })))).toEqual([6]);
    }
  });

  it('takes no more than so many batches in line', async () => {
    const under = slot({ files: scripted });
    const answers = Array.from({ length: 65 }, (_, k) => outcomes(under.run(request([k]))));
    expect((await Promise.all(answers)).at(-1)).toEqual(['whole batch: compute.executor_unavailable']);
  });
});
