import type { Wei } from '#shared/units.ts';

export interface SettlementSettings {
  /** Settle once this much is owed in one channel ... */
  readonly amountWei: Wei;
  /** ... or once its oldest unsettled voucher is this old. */
  readonly ageMs: number;
}

export interface SettlementFacts {
  readonly unsettledWei: Wei;
  /** Unix milliseconds at which the oldest unsettled voucher arrived. */
  readonly oldestAt: number;
  /** Unix seconds: the newest voucher's expiry, and the channel's end where the payer gave notice. */
  readonly voucherExpiresAt: number;
  readonly closeAt: number | undefined;
}

export type SettlementReason = 'amount' | 'age' | 'channel_closing' | 'voucher_expiring';

export interface SettlementDecision {
  /** Undefined: not now. */
  readonly reason: SettlementReason | undefined;
  /** Unix milliseconds at which time alone will change the answer. */
  readonly lookAgainAt: number;
}

/** A voucher is settled this long before it runs out, so that a chain that is away for a day costs nothing. */
const EXPIRY_MARGIN_MS = 2 * 24 * 3_600_000;

/** When vouchers become tokens. Pure; `now` is Unix milliseconds. */
export function decideSettlement(
  facts: SettlementFacts,
  settings: SettlementSettings,
  now: number,
): SettlementDecision {
  const agedAt = facts.oldestAt + settings.ageMs;
  const expiringAt = facts.voucherExpiresAt * 1000 - EXPIRY_MARGIN_MS;
  const lookAgainAt = Math.min(agedAt, expiringAt);
  if (facts.unsettledWei <= 0n) return { reason: undefined, lookAgainAt: Infinity };
  if (facts.closeAt !== undefined) return { reason: 'channel_closing', lookAgainAt: now };
  if (now >= expiringAt) return { reason: 'voucher_expiring', lookAgainAt: now };
  if (facts.unsettledWei >= settings.amountWei) return { reason: 'amount', lookAgainAt: now };
  if (now >= agedAt) return { reason: 'age', lookAgainAt: now };
  return { reason: undefined, lookAgainAt };
}
