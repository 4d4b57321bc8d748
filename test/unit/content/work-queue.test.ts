import { describe, expect, it } from 'vitest';
import { Bitmap, fullBitmap } from '#shared/protocol/content/bitmap.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import { KiB, MiB } from '#shared/units.ts';
import { WorkQueue } from '#core/content/exchange/work-queue.ts';

function bits(size: number, ...set: readonly number[]): Bitmap {
  const bitmap = new Bitmap(size);
  for (const index of set) bitmap.set(index);
  return bitmap;
}

describe('the work of a download', () => {
  const [a, b, c] = [{}, {}, {}];
  const all = fullBitmap(4);

  it('is what is missing, each leaf for one provider', () => {
    const queue = new WorkQueue(bits(4, 1), MiB, () => 0);
    expect(queue.take(a, all)).toEqual({ first: 0, count: 1 });
    expect(queue.take(b, all)).toEqual({ first: 2, count: 1 });
    expect(queue.take(b, bits(4, 0, 1, 2))).toBeUndefined();
    expect(queue.take(b, all)).toEqual({ first: 3, count: 1 });
    expect(queue.take(a, all)).toBeUndefined();
    for (const index of [0, 2, 3]) {
      expect(queue.finished).toBe(false);
      queue.done(index);
    }
    expect(queue.finished).toBe(true);
  });

  it('comes in ranges of about a standard leaf when leaves are small', () => {
    const size = 200;
    const queue = new WorkQueue(bits(size, 70), 16 * KiB, () => 0);
    expect(queue.take(a, fullBitmap(size))).toEqual({ first: 0, count: 64 });
    expect(queue.take(a, fullBitmap(size))).toEqual({ first: 64, count: 6 });
    expect(queue.take(a, bits(size, 150))).toEqual({ first: 150, count: 1 });
  });

  it('given back goes to the next who asks, and wakes those who wait', async () => {
    const queue = new WorkQueue(bits(4), MiB, () => 0);
    for (let index = 0; index < 4; index += 1) queue.take(a, all);
    const changed = queue.changed();
    queue.done(1);
    queue.giveBack(a, [1, 2]);
    await changed;
    expect(queue.take(b, all)).toEqual({ first: 2, count: 1 });
    expect(queue.take(b, all)).toBeUndefined();
  });

  it('owed for long is given to a second provider, not to a third and not twice to one', () => {
    let now = 0;
    const queue = new WorkQueue(bits(1), MiB, () => now);
    const one = fullBitmap(1);
    queue.take(a, one);
    expect(queue.nextDoubleMs(b, one)).toBe(LIMITS.content.doubleAfterMs);
    expect(queue.nextDoubleMs(a, one)).toBeUndefined();
    expect(queue.nextDoubleMs(b, bits(1))).toBeUndefined();
    now = LIMITS.content.doubleAfterMs;
    expect(queue.take(a, one)).toBeUndefined();
    expect(queue.take(b, one)).toEqual({ first: 0, count: 1 });
    expect(queue.take(c, one)).toBeUndefined();
    // One of the two fails: the other still owes it. Then it may be doubled again.
    queue.giveBack(a, [0]);
    expect(queue.take(c, one)).toEqual({ first: 0, count: 1 });
    queue.giveBack(b, [0]);
    queue.giveBack(c, [0]);
    expect(queue.take(a, one)).toEqual({ first: 0, count: 1 });
    queue.done(0);
    expect(queue.finished).toBe(true);
  });

  it('does not come back once it is done', () => {
    const queue = new WorkQueue(bits(2), MiB, () => 0);
    queue.take(a, all);
    queue.done(0);
    queue.giveBack(a, [0]);
    expect(queue.take(b, fullBitmap(2))).toEqual({ first: 1, count: 1 });
    expect(queue.wants(c, bits(2, 0))).toBe(false);
    expect(queue.wants(c, bits(2, 1))).toBe(true);
    expect(queue.wants(b, bits(2, 1))).toBe(false);
  });
});

describe('a bitmap', () => {
  it('ignores bits behind its end', () => {
    const bitmap = new Bitmap(3, Uint8Array.of(0xff));
    expect([bitmap.count, bitmap.full, bitmap.has(3), bitmap.bytes[0]]).toEqual([3, true, false, 7]);
    expect(() => bitmap.set(3)).toThrow(RangeError);
    bitmap.clear(1);
    expect([...bitmap.missing()]).toEqual([1]);
    expect(() => new Bitmap(9, new Uint8Array(1))).toThrow(RangeError);
  });
});
