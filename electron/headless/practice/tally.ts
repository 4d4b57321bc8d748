import type { RequesterEvent } from '#shared/model/events.ts';

/** What a run came to so far. Amounts are the token's smallest unit. */
export interface Tally {
  readonly verified: number;
  readonly refused: number;
  readonly failed: number;
  readonly promisedWei: bigint;
  /** Tensors both ways, as the requester counts them. */
  readonly bytes: number;
  readonly channels: ReadonlySet<string>;
}

export const EMPTY_TALLY: Tally = {
  verified: 0,
  refused: 0,
  failed: 0,
  promisedWei: 0n,
  bytes: 0,
  channels: new Set(),
};

/** Adds one fact of the requester's. Pure. */
export function tally(so: Tally, event: RequesterEvent): Tally {
  switch (event.type) {
    case 'shard.verified':
      return { ...so, verified: so.verified + 1 };
    case 'shard.refused':
      return { ...so, refused: so.refused + 1 };
    case 'shard.failed':
      return { ...so, failed: so.failed + 1 };
    case 'lease.granted':
    case 'shard.answered':
      return { ...so, bytes: so.bytes + event.bytes };
    case 'voucher.sent':
      return {
        ...so,
        promisedWei: so.promisedWei + BigInt(event.addedWei),
        channels: new Set([...so.channels, event.channelId]),
      };
    default:
      return so;
  }
}
