import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ChannelWalk, steps } from './channel-walk.ts';
import { TestChain } from './evm-harness.ts';

describe('payment channels under random use', () => {
  it('never pay out more than was paid in, to anybody, whatever is sent in which order', async () => {
    const chain = await TestChain.create({ actors: 3 });
    const tally = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(steps, async (taken) => {
        const walk = await ChannelWalk.begin(chain, tally);
        for (const next of taken) await walk.take(next);
        await walk.check();
      }),
      { numRuns: 60 },
    );
    // A walk that never got anywhere proves nothing.
    for (const kind of ['open', 'topUp', 'settle', 'close', 'paid in batch', 'notice', 'refund']) {
      expect({ kind, reached: (tally.get(kind) ?? 0) > 3 }).toEqual({ kind, reached: true });
    }
  }, 60_000);
});
