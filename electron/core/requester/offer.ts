import { LIMITS } from '#shared/protocol/limits.ts';
import type { Offer } from '#shared/protocol/work-messages.ts';
import type { JobCore } from './job-core.ts';

/** Said of a job without an end. */
const ENDLESS = 1_000_000;

/** What a job's gossip says of it now. */
export function offerOf({ context, offerId, terms, board }: JobCore): Offer {
  const unleased = board.count === undefined ? ENDLESS : Math.max(0, board.count - board.nextIndex);
  return {
    offerId,
    kind: 'inference',
    modelCid: terms.modelCid,
    modelDigest: terms.modelDigest,
    modelBytes: terms.modelBytes,
    priceWei: terms.priceWei,
    shardsOpen: unleased + board.queued.size,
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
