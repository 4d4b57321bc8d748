import { describe, expect, it } from 'vitest';
import { ReplayCache } from '#core/network/statements/replay-cache.ts';
import { LIMITS } from '#shared/protocol/limits.ts';

const minute = 60_000;

describe('a replay cache', () => {
  it('knows a nonce until its expiry is over, then forgets it', () => {
    const cache = new ReplayCache();
    expect(cache.check('a', 'n', 5 * minute, 0)).toBe('fresh');
    expect(cache.check('a', 'n', 5 * minute, 5 * minute)).toBe('replayed');
    expect(cache.check('b', 'n', 5 * minute, 0)).toBe('fresh');
    cache.check('c', 'other', 20 * minute, 7 * minute);
    expect(cache.size).toBe(1);
  });

  it('bounds what one sender can occupy', () => {
    const cache = new ReplayCache();
    const limit = LIMITS.statement.rememberedPerSenderCount;
    for (let index = 0; index < limit; index += 1) cache.check('a', String(index), minute, 0);
    expect(cache.check('a', 'one more', minute, 0)).toBe('too_many');
    expect(cache.check('b', 'one more', minute, 0)).toBe('fresh');
    expect(cache.check('a', 'one more', 10 * minute, 3 * minute)).toBe('fresh');
  });

  it('forgets what expires soonest when it is full', () => {
    const cache = new ReplayCache(3);
    cache.check('a', 'soon', 2 * minute, 0);
    cache.check('b', 'late', 9 * minute, 0);
    cache.check('c', 'later', 30 * minute, 0);
    expect(cache.check('d', 'new', 30 * minute, 0)).toBe('fresh');
    expect(cache.size).toBe(3);
    expect(cache.check('b', 'late', 9 * minute, 0)).toBe('replayed');
    expect(cache.check('a', 'soon', 2 * minute, 0)).toBe('fresh');
  });
});
