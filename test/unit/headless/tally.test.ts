import { describe, expect, it } from 'vitest';
import type { RequesterEvent } from '#shared/model/events.ts';
import type { PeerIdText } from '#shared/units.ts';
import { EMPTY_TALLY, tally } from '../../../electron/headless/practice/tally.ts';

const about = { at: 1, jobId: 'j', peerId: 'p' as PeerIdText };

describe('the tally of a run', () => {
  it('counts verdicts, promises and bytes both ways, and leaves what it is given untouched', () => {
    const events: readonly RequesterEvent[] = [
      { ...about, type: 'lease.granted', leaseId: 'l', shards: 2, bytes: 100 },
      { ...about, type: 'shard.answered', shard: 0, backend: 'cpu', ms: 1, bytes: 7 },
      { ...about, type: 'shard.verified', shard: 0, by: 'agreed' },
      { ...about, type: 'shard.refused', shard: 1, code: 'x' },
      { ...about, type: 'shard.failed', shard: 2, code: 'x' },
      { ...about, type: 'job.resumed' },
    ];
    const end = events.reduce(tally, EMPTY_TALLY);
    expect(end).toMatchObject({ verified: 1, refused: 1, failed: 1, bytes: 107 });
    expect(EMPTY_TALLY).toMatchObject({ verified: 0, refused: 0, failed: 0, bytes: 0 });
  });

  it('adds promises without losing a digit', () => {
    const voucher = { ...about, type: 'voucher.sent', channelId: '0x01', cumulativeWei: '0', shards: 1 } as const;
    const end = ['9007199254740993', '1'].reduce((so, addedWei) => tally(so, { ...voucher, addedWei }), EMPTY_TALLY);
    expect(end.promisedWei).toBe(9_007_199_254_740_994n);
  });
});
