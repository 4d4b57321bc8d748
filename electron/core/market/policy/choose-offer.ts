import type { Backend } from '#core/compute/port.ts';
import type { Offer } from '#shared/protocol/work-messages.ts';
import { sameAddress, type Address, type PeerIdText, type Wei } from '#shared/units.ts';

export interface OfferEntry {
  readonly offer: Offer;
  readonly requester: PeerIdText;
  /** The payload as it was signed: what the ledger keeps. */
  readonly payload: Uint8Array;
}

/** The network's own chain and contracts: offers that pay elsewhere are not for us. */
export interface PayTerms {
  readonly chainId: number;
  readonly channels: Address;
  readonly token: Address;
}

export interface OfferNeeds {
  readonly pay: PayTerms;
  readonly backend: Backend;
  readonly minPriceWei: Wei;
  readonly maxModelBytes: number;
}

/** Why an offer is not for this machine; undefined where it is. */
export function unfit({ offer }: OfferEntry, needs: OfferNeeds, now: number): string | undefined {
  if (offer.chainId !== needs.pay.chainId) return 'other chain';
  if (!sameAddress(offer.channels, needs.pay.channels) || !sameAddress(offer.token, needs.pay.token))
    return 'other contracts';
  if (offer.deadline <= now) return 'over';
  if (offer.priceWei < needs.minPriceWei) return 'below the price floor';
  if (!offer.backends.includes(needs.backend)) return 'other backends';
  if (offer.modelBytes > needs.maxModelBytes) return 'model too large';
  if (offer.maxShardsPerLease < 1) return 'no leases';
  if (offer.shardsOpen === 0) return 'nothing left';
  return undefined;
}

/** Taken for the time of a shard that was never run, so that new models get a chance. */
const UNKNOWN_SHARD_MS = 50;

/** The best paid offer per estimated second; offers whose ids are in `unfinished` come first whatever they pay. */
export function chooseOffer(
  entries: Iterable<OfferEntry>,
  options: {
    readonly shardMs: (offer: Offer) => number | undefined;
    readonly unfinished: ReadonlySet<string>;
  },
): OfferEntry | undefined {
  let best: OfferEntry | undefined;
  let bestRank = -1;
  let bestIsUnfinished = false;
  for (const entry of entries) {
    const isUnfinished = options.unfinished.has(entry.offer.offerId);
    // As a double: a ranking, not money.
    const rank = (Number(entry.offer.priceWei) + 1) / (options.shardMs(entry.offer) ?? UNKNOWN_SHARD_MS);
    if (isUnfinished === bestIsUnfinished ? rank <= bestRank : bestIsUnfinished) continue;
    best = entry;
    bestRank = rank;
    bestIsUnfinished = isUnfinished;
  }
  return best;
}
