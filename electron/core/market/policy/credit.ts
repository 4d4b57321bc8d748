import type { Wei } from '#shared/units.ts';

export interface Exposure {
  /** Shards leased to us, not sent back yet. */
  readonly leased: number;
  /** Sent back, not judged. */
  readonly pending: number;
  /** Accepted, not covered by a voucher. */
  readonly acceptedUnpaidWei: Wei;
}

export interface CreditLimits {
  readonly priceWei: Wei;
  readonly creditShards: number;
  readonly creditWei: Wei;
  /** What the channel still holds above all that was accepted. */
  readonly depositLeftWei: Wei;
}

/**
 * How many more shards may be asked for before the requester has to pay: what is done or promised and not yet covered
 * by a voucher stays within the credit, and within what the channel can pay at all. 0: wait for pay.
 */
export function creditRoom(exposure: Exposure, limits: CreditLimits): number {
  const { priceWei, creditShards, creditWei, depositLeftWei } = limits;
  const open = exposure.leased + exposure.pending;
  const unpaid = priceWei === 0n ? 0 : Number((exposure.acceptedUnpaidWei + priceWei - 1n) / priceWei);
  const byShards = creditShards - open - unpaid;
  if (priceWei === 0n) return Math.max(0, byShards);
  const openWei = BigInt(open) * priceWei;
  const byCredit = shardsFor(creditWei - exposure.acceptedUnpaidWei - openWei, priceWei);
  const byDeposit = shardsFor(depositLeftWei - openWei, priceWei);
  return Math.max(0, Math.min(byShards, byCredit, byDeposit));
}

function shardsFor(amount: bigint, priceWei: Wei): number {
  if (amount <= 0n) return 0;
  const shards = amount / priceWei;
  return shards > 1_000_000n ? 1_000_000 : Number(shards);
}
