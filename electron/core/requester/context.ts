import type { Chain } from '#core/chain/port.ts';
import type { Compute, Placement } from '#core/compute/port.ts';
import type { Content } from '#core/content/port.ts';
import type { RequesterLedger } from '#core/ledger/requester-ledger.ts';
import type { Clock } from '#core/market/clock.ts';
import type { PayTerms } from '#core/market/policy/choose-offer.ts';
import type { Network } from '#core/network/port.ts';
import type { Logger } from '#core/obs/logger.ts';
import type { RequesterEvent } from '#shared/model/events.ts';
import type { Address } from '#shared/units.ts';

export interface RequesterSettings {
  readonly leaseSeconds: number;
  readonly maxShardsPerLease: number;
  readonly challengeSeconds: number;
  readonly voucherSeconds: number;
  /** How often an open offer is repeated. */
  readonly offerEveryMs: number;
  /** How long an answer waits for a second peer before the referee looks at it. */
  readonly patienceMs: number;
  /** How long a vanished peer may stay away before its shards go to others. */
  readonly rejoinMs: number;
  /** A want that cannot be served is answered with Wait after this time. */
  readonly parkMs: number;
  /** Answers accepted within this time share a voucher. */
  readonly payDelayMs: number;
  /** How long a finished job waits for its payees to settle and close. */
  readonly closePatienceMs: number;
  /** Shards leased and not yet delivered: what a slow first shard may hold up. */
  readonly mostInTheAir: number;
}

export const DEFAULT_REQUESTER_SETTINGS: RequesterSettings = {
  leaseSeconds: 60,
  maxShardsPerLease: 256,
  challengeSeconds: 24 * 3600,
  voucherSeconds: 30 * 24 * 3600,
  offerEveryMs: 3000,
  patienceMs: 2000,
  rejoinMs: 10_000,
  parkMs: 5000,
  payDelayMs: 20,
  closePatienceMs: 30_000,
  mostInTheAir: 16_384,
};

/** What every part of the requester works with. */
export interface RequesterContext {
  readonly network: Network;
  readonly content: Content;
  /** The referee: recomputes where peers disagree or none is there to compare with. */
  readonly compute: Compute;
  readonly refereePlacement: Placement;
  readonly chain: Chain;
  readonly ledger: RequesterLedger;
  readonly pay: PayTerms;
  /** Hot key that channels name and vouchers are signed with. */
  readonly signer: { readonly address: Address; readonly privateKey: Uint8Array };
  readonly settings: RequesterSettings;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly emit: (event: RequesterEvent) => void;
  /** Aborted when the requester stops: whatever still waits for the chain then must leave the ledger alone. */
  readonly stopping: AbortSignal;
}
