import type { AppError } from '../errors.ts';
import type { PeerIdText } from '../units.ts';

/** What the agent is about. `paused` comes with a reason that a person understands. */
export type AgentPhase = 'starting' | 'looking' | 'joining' | 'working' | 'paused' | 'stopping' | 'stopped';

export interface CurrentWork {
  readonly requester: PeerIdText;
  readonly offerId: string;
  readonly modelCid: string | undefined;
  /** Unix milliseconds. */
  readonly since: number;
  /** Shards of the newest lease, and all that were computed for this requester since. */
  readonly leaseShards: number;
  readonly shardsDone: number;
  readonly lastShardMs: number | undefined;
}

/**
 * Everything a screen or a command shows of a contributor's agent: one immutable value, counted up by `revision`.
 * Plain JSON: amounts are decimal strings of the token's smallest unit.
 */
export interface AgentState {
  readonly revision: number;
  readonly startedAt: number;
  readonly phase: AgentPhase;
  readonly reason: string | undefined;
  readonly identity: {
    readonly peerId: PeerIdText | undefined;
    readonly address: string | undefined;
    readonly agentId: string | undefined;
  };
  readonly network: {
    readonly networkId: string;
    readonly peers: number;
    readonly reachable: 'unknown' | 'public' | 'private' | 'offline';
    readonly reason: string;
    readonly remedy: string | undefined;
  };
  readonly device: { readonly backend: string; readonly name: string };
  readonly token: { readonly symbol: string; readonly decimals: number };
  readonly work: CurrentWork | undefined;
  readonly shards: {
    readonly computed: number;
    readonly accepted: number;
    readonly refused: number;
    readonly failed: number;
  };
  readonly money: {
    /** Promised by vouchers that are safely stored here. */
    readonly earnedWei: string;
    /** Paid out on chain, as its events say. */
    readonly settledWei: string;
    readonly lastTransaction: string | undefined;
  };
  readonly reputation: { readonly score: number | undefined; readonly count: number };
  readonly lastError: AppError | undefined;
}
