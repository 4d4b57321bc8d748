import type { Chain } from '#core/chain/port.ts';
import type { Compute, Placement } from '#core/compute/port.ts';
import type { Content } from '#core/content/port.ts';
import type { ProviderLedger } from '#core/ledger/provider-ledger.ts';
import type { Network } from '#core/network/port.ts';
import type { Logger } from '#core/obs/logger.ts';
import type { ProviderEvent } from '#shared/model/events.ts';
import type { Wei } from '#shared/units.ts';
import type { Clock } from './clock.ts';
import type { PayTerms } from './policy/choose-offer.ts';
import type { SettlementSettings } from './policy/settlement-policy.ts';

export interface ProviderSettings {
  /** Offers that pay less a shard are left alone. */
  readonly minPriceWei: Wei;
  /** Work done or promised and not yet paid, beyond which no more is asked for. */
  readonly creditShards: number;
  readonly creditWei: Wei;
  readonly settlement: SettlementSettings;
  readonly maxModelBytes: number;
  /** Notice a payer must give before its refund. */
  readonly minChallengeSeconds: number;
  /** A voucher must be good for at least this long when it arrives. */
  readonly minVoucherSeconds: number;
  /** Length of a lease to aim at. */
  readonly leaseTargetMs: number;
  /** How long a graceful stop waits for verdicts and pay. */
  readonly stopPatienceMs: number;
}

export const DEFAULT_PROVIDER_SETTINGS: ProviderSettings = {
  minPriceWei: 0n as Wei,
  creditShards: 512,
  creditWei: (10n ** 18n) as Wei,
  settlement: { amountWei: (10n ** 18n) as Wei, ageMs: 3_600_000 },
  maxModelBytes: 4 * 1024 ** 3,
  minChallengeSeconds: 3600,
  minVoucherSeconds: 3 * 24 * 3600,
  leaseTargetMs: 700,
  stopPatienceMs: 5000,
};

/** An event without its time, which the context adds. */
export type Untimed<E> = E extends unknown ? Omit<E, 'at'> : never;

/** What every part of the provider works with. */
export interface ProviderContext {
  readonly network: Network;
  readonly content: Content;
  readonly compute: Compute;
  readonly chain: Chain;
  readonly ledger: ProviderLedger;
  readonly pay: PayTerms;
  readonly settings: ProviderSettings;
  readonly placement: Placement;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly emit: (event: Untimed<ProviderEvent>) => void;
  /** Aborted when the provider stops: whatever still waits for the chain then must leave the ledger alone. */
  readonly stopping: AbortSignal;
}
