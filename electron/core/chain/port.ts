import type { AppError } from '#shared/errors.ts';
import type { Result } from '#shared/result.ts';
import type { Address, Hex, PeerIdText, Wei } from '#shared/units.ts';

export type ChainErrorCode =
  | 'chain.unreachable'
  | 'chain.wrong_chain'
  | 'chain.reverted'
  | 'chain.insufficient_gas'
  | 'chain.insufficient_tokens'
  | 'chain.timeout'
  | 'chain.not_found'
  | 'chain.stopped';
export type ChainError = AppError<ChainErrorCode>;

/** State of a payment channel as the contract has it. */
export interface Channel {
  readonly channelId: Hex;
  readonly payer: Address;
  readonly payee: Address;
  /** Hot key allowed to sign vouchers. */
  readonly signer: Address;
  readonly depositWei: Wei;
  readonly settledWei: Wei;
  /** Notice the payer must give before a refund. */
  readonly challengeSeconds: number;
  /** Unix seconds from which the payer may refund; undefined while open. */
  readonly closeAt: number | undefined;
  /** Present once the channel has ended; `depositWei` then equals `settledWei`. Its reference is never free again. */
  readonly closed?: true;
}

/** A cumulative promise of pay: only the newest counts. EIP-712 typed data, see docs/protocol.md. */
export interface Voucher {
  readonly channelId: Hex;
  /** Everything this channel ever paid, this voucher included. */
  readonly cumulativeWei: Wei;
  /** Unix seconds after which it can no longer be settled. */
  readonly expiresAt: number;
  /** 65-byte r,s,v signature of `channel.signer`. */
  readonly signature: Hex;
}

export type VoucherErrorCode =
  | 'voucher.malformed'
  | 'voucher.forged'
  | 'voucher.wrong_channel'
  | 'voucher.replayed'
  | 'voucher.over_deposit'
  | 'voucher.too_small'
  | 'voucher.expires_too_soon';
export type VoucherError = AppError<VoucherErrorCode>;

/** Signs and verifies vouchers for one (chain id, contract). Synchronous, no chain access: it is on the hot path. */
export interface VoucherCodec {
  sign(voucher: Omit<Voucher, 'signature'>, privateKey: Uint8Array): Voucher;
  /** Recovered signer, or undefined where the signature is not one. Malleable (high-s) signatures are refused. */
  recover(voucher: Voucher): Address | undefined;
}

export interface Settlement {
  readonly channelId: Hex;
  readonly transactionHash: Hex;
  readonly blockNumber: number;
  readonly paidWei: Wei;
  readonly cumulativeWei: Wei;
}

/** Payment channels: both sides. Each call waits for its receipt. Amounts are the pay token's. */
export interface Channels {
  get(channelId: Hex): Promise<Result<Channel, ChainError>>;
  /** Approves when needed and opens; safe to repeat after a crash with the same `reference`. */
  open(options: {
    readonly payee: Address;
    readonly signer: Address;
    readonly depositWei: Wei;
    readonly challengeSeconds: number;
    readonly reference: Hex;
  }): Promise<Result<Channel, ChainError>>;
  topUp(channelId: Hex, amountWei: Wei): Promise<Result<Channel, ChainError>>;
  /**
   * Payee: turns vouchers into tokens, as few transactions as fit. Answers what was paid by them. Already settled
   * ones are skipped, never an error; a bad one does not stop the others, and is an error only when nothing was paid.
   */
  settle(vouchers: readonly Voucher[]): Promise<Result<readonly Settlement[], ChainError>>;
  /** Payee: settles the last voucher if given and returns the rest to the payer. */
  close(channelId: Hex, voucher: Voucher | undefined): Promise<Result<Settlement | undefined, ChainError>>;
  requestClose(channelId: Hex): Promise<Result<void, ChainError>>;
  refund(channelId: Hex): Promise<Result<void, ChainError>>;
}

export interface AgentIdentity {
  readonly agentId: bigint;
  readonly owner: Address;
  /** Where pay goes. */
  readonly wallet: Address;
  readonly peerId: PeerIdText;
}

export interface Identities {
  byPeer(peerId: PeerIdText): Promise<Result<AgentIdentity | undefined, ChainError>>;
  /** Registers this wallet's node, proving the peer id by the peer key's own signature; returns the existing one when there is one. */
  register(options: {
    readonly peerId: PeerIdText;
    readonly sign: (digest: Uint8Array) => Promise<Uint8Array>;
    readonly peerPublicKey: Uint8Array;
    readonly uri: string;
  }): Promise<Result<AgentIdentity, ChainError>>;
}

export interface ReputationSummary {
  readonly count: number;
  /** Mean feedback value, 0 to 100; undefined with no feedback. */
  readonly score: number | undefined;
}

export interface Reputation {
  summary(agentId: bigint): Promise<Result<ReputationSummary, ChainError>>;
  /** Only a counterparty with settled pay to the agent may; others get chain.reverted. */
  giveFeedback(feedback: {
    readonly agentId: bigint;
    readonly value: number;
    readonly tag: string;
    readonly channelId: Hex;
    readonly evidence: Hex;
  }): Promise<Result<Hex, ChainError>>;
}

export interface Balances {
  readonly gasWei: Wei;
  readonly tokenWei: Wei;
}

/** What the rest of the program knows of the chain. Foreign errors end at the adapter behind this port. */
export interface Chain {
  readonly address: Address;
  readonly channels: Channels;
  readonly identities: Identities;
  readonly reputation: Reputation;
  readonly vouchers: VoucherCodec;
  balances(of?: Address): Promise<Result<Balances, ChainError>>;
  /** Chain id agrees with the network file and the contracts have code: chain.wrong_chain otherwise. */
  check(): Promise<Result<{ readonly blockNumber: number }, ChainError>>;
  stop(): Promise<void>;
}
