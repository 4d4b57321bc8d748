import { describe, expect, it, vi } from 'vitest';
import { Batch, type BatchRequest } from '#core/compute/pool/batch.ts';
import { restartDelayMs } from '#core/compute/pool/restart-delay.ts';
import { SessionTable, type Session } from '#core/compute/pool/sessions.ts';
import { computeErrors } from '#core/compute/errors.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import { err, ok } from '#shared/result.ts';
import { sha256Hex } from '#shared/units.ts';
import { doublingModel, infoOf, sourceOf } from '#support/compute-models.ts';
import { f32 } from '#support/tensors.ts';

const source = sourceOf(doublingModel());
const inputs = { x: f32([1]) };
const outputs = { y: f32([2]) };

function batchOf(shards: BatchRequest['shards'], deadlineMs = 1000): Batch {
  return new Batch({ source, info: infoOf(source), shards, deadlineMs, maxOutputBytes: 64 });
}

describe('restartDelayMs', () => {
  it('starts again at once after the first death, then waits twice as long each time, up to a bound', () => {
    expect([0, 1, 2, 3, 4, 50].map(restartDelayMs)).toEqual([0, 0, 100, 200, 400, LIMITS.compute.restartMaxMs]);
  });
});

describe('Batch', () => {
  it('gives results in the order of the shards, whatever order they come in', async () => {
    const batch = batchOf([ok(inputs), err(computeErrors.invalidInput('no')), ok(inputs)]);
    const [first, third] = [...batch.pending];
    if (first === undefined || third === undefined) throw new Error('two shards wait');
    batch.settle(third, ok(outputs), 2000);
    batch.settle(first, err(computeErrors.runFailed('no')), 1000);
    expect(await batch.done).toMatchObject({
      ok: true,
      value: {
        computeMs: 3,
        results: [
          { error: { code: 'compute.run_failed' } },
          { error: { code: 'compute.input_invalid' } },
          { ok: true },
        ],
      },
    });
  });

  it('takes one answer per shard', async () => {
    const batch = batchOf([ok(inputs), ok(inputs)]);
    const [first] = batch.pending;
    if (first === undefined) throw new Error('a shard waits');
    batch.settle(first, ok(outputs), 1000);
    batch.settle(first, err(computeErrors.stopped()), 1000);
    batch.takeBack(first);
    batch.endWith(computeErrors.deadline(5));
    expect(await batch.done).toMatchObject({
      value: { computeMs: 1, results: [{ ok: true }, { error: { code: 'compute.deadline' } }] },
    });
  });

  it('errs as a whole when nothing was answered', async () => {
    const batch = batchOf([ok(inputs), ok(inputs)]);
    batch.endWith(computeErrors.stopped());
    expect(await batch.done).toMatchObject({ ok: false, error: { code: 'compute.stopped' } });
    expect(batch.pending).toEqual([]);
  });

  it('runs one clock, until it has ended', () => {
    vi.useFakeTimers();
    try {
      const expire = vi.fn<() => void>();
      const batch = batchOf([ok(inputs)], 1000);
      batch.startClock(expire);
      vi.advanceTimersByTime(600);
      batch.startClock(expire);
      vi.advanceTimersByTime(399);
      expect(expire).not.toHaveBeenCalled();
      vi.advanceTimersByTime(1);
      expect(expire).toHaveBeenCalledTimes(1);
      const done = batchOf([ok(inputs)], 1000);
      done.startClock(expire);
      done.endWith(computeErrors.stopped());
      vi.advanceTimersByTime(2000);
      expect(expire).toHaveBeenCalledTimes(1);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe('SessionTable', () => {
  const session = (name: string, peakBytes: number, slot = 0): Session => ({
    slot,
    digest: sha256Hex(name),
    peakBytes,
    inputs: [],
    outputs: [],
  });

  it('evicts the least recently used first, and no more than needed', () => {
    const table = new SessionTable(100);
    for (const name of ['a', 'b', 'c']) table.add(session(name, 30));
    table.get(sha256Hex('a'));
    expect(table.makeRoom(40).map(({ digest }) => digest)).toEqual(['b']);
    expect(table.digests()).toEqual(['c', 'a']);
    expect(table.makeRoom(40)).toEqual([]);
  });

  it('bounds the number of sessions too', () => {
    const table = new SessionTable(Infinity);
    for (let i = 0; i < LIMITS.compute.sessions; i += 1) table.add(session(`m${i}`, 1));
    expect(table.makeRoom(1).map(({ digest }) => digest)).toEqual(['m0']);
  });

  it('never gives the same slot twice', () => {
    const table = new SessionTable(1);
    expect(new Set([table.nextSlot(), table.nextSlot(), table.nextSlot()]).size).toBe(3);
  });
});
