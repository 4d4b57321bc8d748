import { describe, expect, it } from 'vitest';
import { Random } from '#core/requester/practice/random.ts';

describe('the practice network’s random numbers', () => {
  it('are xoshiro128**, by its authors’ arithmetic', () => {
    // From the state 1, 2, 3, 4: rotl(2 * 5, 7) * 9, then as the reference code continues.
    const random = Random.fromState(1, 2, 3, 4);
    expect(Array.from({ length: 4 }, () => random.uint32())).toEqual(reference(1, 2, 3, 4, 4));
    expect(reference(1, 2, 3, 4, 1)).toEqual([11_520]);
  });

  it('repeat for equal words and differ for any other', () => {
    const start = (...words: number[]) => new Random(...words).uint32();
    expect(start(1, 2, 3)).toBe(start(1, 2, 3));
    const others = [start(1, 2, 4), start(1, 3, 2), start(3, 2, 1), start(1, 2), start(1, 2, 3, 0), start()];
    expect(new Set([start(1, 2, 3), ...others]).size).toBe(others.length + 1);
  });

  it('fill their range evenly', () => {
    const random = new Random(7);
    const counts = Array.from({ length: 10 }, () => 0);
    for (let k = 0; k < 20_000; k++) counts[random.below(10)]! += 1;
    for (const count of counts) expect(Math.abs(count - 2000)).toBeLessThan(200);
  });

  it('shuffle without losing anything', () => {
    const items = Uint32Array.from({ length: 100 }, (_, k) => k);
    new Random(1).shuffle(items);
    expect([...items]).not.toEqual([...items].sort((a, b) => a - b));
    expect([...items].sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, k) => k));
  });
});

/** The published algorithm over bigints, written apart from the product's. */
function reference(a: number, b: number, c: number, d: number, count: number): number[] {
  const s = [a, b, c, d].map(BigInt) as [bigint, bigint, bigint, bigint];
  const mask = 0xffff_ffffn;
  const rotl = (x: bigint, k: bigint) => ((x << k) | (x >> (32n - k))) & mask;
  return Array.from({ length: count }, () => {
    const result = (rotl((s[1] * 5n) & mask, 7n) * 9n) & mask;
    const t = (s[1] << 9n) & mask;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 11n);
    return Number(result);
  });
}
