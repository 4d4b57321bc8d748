import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Board, emptyShard } from '#core/requester/board.ts';
import { decideCheck, LEAST_CHECKED, PROVEN_STREAK, shunnedMs } from '#core/requester/policy/check-policy.ts';
import { isRunningLow, nextDeposit } from '#core/requester/policy/deposit.ts';
import { peerIdText, sha256Hex, wei } from '#shared/units.ts';

describe('the check of an answer', () => {
  it('is by the referee or by a second peer under the strict policies, whatever the peer has shown', () => {
    fc.assert(
      fc.property(fc.nat(), fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (streak, random) => {
        expect(decideCheck('referee', streak, random)).toBe('referee');
        expect(decideCheck('full', streak, random)).toBe('verify');
      }),
    );
  });

  it('never passes an unproven peer', () => {
    for (let streak = 0; streak < PROVEN_STREAK; streak += 1)
      expect(decideCheck('adaptive', streak, 0.999999)).toBe('verify');
  });

  it('looks at a proven peer with probability one over its streak, never below the floor', () => {
    expect(decideCheck('adaptive', 10, 0.0999)).toBe('verify');
    expect(decideCheck('adaptive', 10, 0.1)).toBe('trust');
    expect(decideCheck('adaptive', 50, 0.0199)).toBe('verify');
    expect(decideCheck('adaptive', 50, 0.02)).toBe('trust');
    expect(decideCheck('adaptive', 1_000_000, LEAST_CHECKED - 1e-9)).toBe('verify');
    expect(decideCheck('adaptive', 1_000_000, LEAST_CHECKED)).toBe('trust');
  });
});

it('a liar is forgiven twice, then shunned for a time that doubles up to a day', () => {
  expect([0, 1, 2, 3, 4, 5].map(shunnedMs)).toEqual([0, 0, 0, 30_000, 60_000, 120_000]);
  expect(shunnedMs(1000)).toBe(86_400_000);
});

describe('deposits', () => {
  const wide = fc.bigInt({ min: 1n, max: 1n << 110n }).map(wei);

  it('together never exceed the budget, and are worth at least a shard', () => {
    fc.assert(
      fc.property(wide, wide, (budgetWei, priceWei) => {
        let depositedWei = wei(0n);
        for (let round = 0; round < 40; round += 1) {
          const next = nextDeposit({ budgetWei, depositedWei, priceWei });
          if (next === undefined) break;
          expect(next).toBeGreaterThanOrEqual(priceWei < 1n << 96n ? priceWei : 1n);
          depositedWei = wei(depositedWei + next);
          expect(depositedWei).toBeLessThanOrEqual(budgetWei);
        }
      }),
    );
  });

  it('run low at four fifths', () => {
    expect(isRunningLow(wei(100n), wei(79n))).toBe(false);
    expect(isRunningLow(wei(100n), wei(80n))).toBe(true);
  });
});

describe('the board', () => {
  const alice = peerIdText('alice');
  const bob = peerIdText('bob');

  it('hands out new shards in order, up to the count and to what may be in the air', () => {
    const board = new Board(0, 5);
    expect(board.take(alice, 3, 100).map(({ index }) => index)).toEqual([0, 1, 2]);
    expect(board.take(bob, 9, 4).map(({ index }) => index)).toEqual([3]);
    expect(board.take(bob, 9, 100).map(({ index }) => index)).toEqual([4]);
    expect(board.exhausted).toBe(true);
    expect(board.take(bob, 9, 100)).toEqual([]);
  });

  it('gives second opinions first, then what came back, and never a peer its own', () => {
    const board = new Board(10, undefined);
    const waiting = Object.assign(emptyShard(3), { state: 'answered' as const, inputDigest: sha256Hex('a') });
    waiting.answers.set(alice, {
      peer: alice,
      leaseId: '' as never,
      state: 'received',
      digest: sha256Hex('d'),
      backend: 'cpu',
      outputs: undefined,
    });
    const back = Object.assign(emptyShard(7), { state: 'queued' as const, inputDigest: sha256Hex('a') });
    back.failedAt.add(bob);
    for (const shard of [waiting, back]) board.shards.set(shard.index, shard);
    board.waiting.add(3);
    board.queued.add(7);
    expect(board.take(alice, 1, 100).map(({ index }) => index)).toEqual([7]);
    expect(board.take(bob, 2, 100).map(({ index }) => index)).toEqual([3, 10]);
    expect(board.take(bob, 1, 100).map(({ index }) => index)).toEqual([11]);
  });

  it('puts a shard back where it belongs when its last holder lets go', () => {
    const board = new Board(0, 2);
    const [shard] = board.take(alice, 1, 100);
    expect(board.release(shard!, alice)).toBe(true);
    shard!.state = 'answered';
    shard!.holders.add(bob);
    expect(board.release(shard!, bob)).toBe(false);
    expect(board.waiting.has(0)).toBe(true);
  });
});
