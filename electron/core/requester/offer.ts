import { LIMITS } from '#shared/protocol/limits.ts';
import type { Offer } from '#shared/protocol/work-messages.ts';
import type { JobCore } from './job-core.ts';

/** Said of a job without an end. */
const ENDLESS = 1_000_000;

/** What a job's gossip says of it now. One that is closing has no shards left, and calls those it has channels with. */
export function offerOf({ context, offerId, terms, board }: JobCore, isClosing: boolean): Offer {
  const unleased = board.count === undefined ? ENDLESS : Math.max(0, board.count - board.nextIndex);
  return {
    offerId,
    kind: 'inference',
    modelCid: terms.modelCid,
    modelDigest: terms.modelDigest,
    modelBytes: terms.modelBytes,
    priceWei: terms.priceWei,
    shardsOpen: isClosing ? 0 : unleased + board.queued.size + board.waiting.size,
    maxShardsPerLease: context.settings.maxShardsPerLease,
    payer: context.chain.address,
    ...context.pay,
    deadline: terms.deadline,
    backends: terms.backends,
    tolerance: terms.tolerance,
    checks: terms.checks,
    addresses: context.network.addresses().slice(0, LIMITS.work.addresses),
  };
}
