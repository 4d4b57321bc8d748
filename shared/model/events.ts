import type { AppError } from '../errors.ts';
import type { PeerIdText } from '../units.ts';
import type { JobCheck } from './job.ts';

/**
 * What happened in paid work, for the live view, for `--json` (each is plain JSON: amounts are decimal strings) and for
 * metrics. Past tense; `at` is Unix milliseconds.
 */
export type ProviderEvent = { readonly at: number } & (
  | {
      readonly type: 'offer.seen';
      readonly offerId: string;
      readonly peerId: PeerIdText;
      readonly modelCid: string;
      readonly priceWei: string;
      readonly shardsOpen: number;
    }
  | { readonly type: 'offer.refused'; readonly offerId: string; readonly peerId: PeerIdText; readonly error: AppError }
  | {
      readonly type: 'model.fetched';
      readonly modelCid: string;
      readonly peerId: PeerIdText;
      readonly bytes: number;
      readonly ms: number;
    }
  | { readonly type: 'work.joined'; readonly offerId: string; readonly peerId: PeerIdText; readonly channelId: string }
  | {
      readonly type: 'work.ended';
      readonly offerId: string;
      readonly peerId: PeerIdText;
      readonly outcome: 'finished' | 'refused' | 'broken' | 'left';
      readonly error?: AppError;
    }
  | {
      readonly type: 'lease.received';
      readonly leaseId: string;
      readonly peerId: PeerIdText;
      readonly shards: number;
      readonly bytes: number;
    }
  | {
      readonly type: 'shard.computed';
      readonly leaseId: string;
      readonly peerId: PeerIdText;
      readonly shard: number;
      readonly backend: string;
      readonly ms: number;
      readonly bytes: number;
    }
  | {
      readonly type: 'shard.failed';
      readonly leaseId: string;
      readonly peerId: PeerIdText;
      readonly shard: number;
      readonly code: string;
    }
  | { readonly type: 'shard.accepted'; readonly leaseId: string; readonly peerId: PeerIdText; readonly shard: number }
  | {
      readonly type: 'shard.refused';
      readonly leaseId: string;
      readonly peerId: PeerIdText;
      readonly shard: number;
      readonly code: string;
    }
  | {
      readonly type: 'voucher.received';
      readonly peerId: PeerIdText;
      readonly channelId: string;
      readonly cumulativeWei: string;
      readonly addedWei: string;
    }
  | {
      readonly type: 'voucher.refused';
      readonly peerId: PeerIdText;
      readonly channelId: string;
      readonly error: AppError;
    }
  | {
      readonly type: 'settlement.done';
      readonly channelId: string;
      readonly paidWei: string;
      readonly cumulativeWei: string;
      readonly transactionHash: string;
      readonly reason: string;
    }
  | { readonly type: 'settlement.failed'; readonly error: AppError }
  | { readonly type: 'channel.closed'; readonly channelId: string; readonly settledWei: string }
  | { readonly type: 'provider.paused'; readonly error: AppError }
);

export type RequesterEvent = { readonly at: number; readonly jobId: string } & (
  | { readonly type: 'job.started'; readonly offerId: string; readonly shards: number | undefined }
  | {
      readonly type: 'channel.opened';
      readonly peerId: PeerIdText;
      readonly channelId: string;
      readonly depositWei: string;
    }
  | {
      readonly type: 'channel.toppedUp';
      readonly peerId: PeerIdText;
      readonly channelId: string;
      readonly depositWei: string;
    }
  | { readonly type: 'peer.joined'; readonly peerId: PeerIdText; readonly backend: string }
  | { readonly type: 'peer.refused'; readonly peerId: PeerIdText; readonly error: AppError }
  | { readonly type: 'peer.left'; readonly peerId: PeerIdText; readonly saidSo: boolean }
  | {
      readonly type: 'lease.granted';
      readonly leaseId: string;
      readonly peerId: PeerIdText;
      readonly shards: number;
      readonly bytes: number;
    }
  | { readonly type: 'lease.expired'; readonly leaseId: string; readonly peerId: PeerIdText; readonly shards: number }
  | {
      readonly type: 'shard.answered';
      readonly shard: number;
      readonly peerId: PeerIdText;
      readonly backend: string;
      readonly ms: number;
      readonly bytes: number;
    }
  | {
      readonly type: 'shard.verified';
      readonly shard: number;
      readonly peerId: PeerIdText | undefined;
      readonly by: JobCheck;
    }
  | { readonly type: 'shard.refused'; readonly shard: number; readonly peerId: PeerIdText; readonly code: string }
  | { readonly type: 'shard.failed'; readonly shard: number; readonly code: string }
  | {
      readonly type: 'peer.lied';
      readonly peerId: PeerIdText;
      readonly shard: number;
      readonly lies: number;
      readonly shunnedMs: number;
    }
  | {
      readonly type: 'voucher.sent';
      readonly peerId: PeerIdText;
      readonly channelId: string;
      readonly cumulativeWei: string;
      readonly addedWei: string;
      readonly shards: number;
    }
  | {
      readonly type: 'feedback.given';
      readonly peerId: PeerIdText;
      readonly agentId: string;
      readonly value: number;
      readonly transactionHash: string;
    }
  | {
      readonly type: 'channel.settled';
      readonly peerId: PeerIdText;
      readonly channelId: string;
      readonly settledWei: string;
    }
  | { readonly type: 'job.paused'; readonly error: AppError }
  | { readonly type: 'job.resumed' }
  | { readonly type: 'job.finished'; readonly summary: JobSummary }
);

/** What a job came to. Amounts are decimal strings of the token's smallest unit. */
export interface JobSummary {
  readonly shards: number;
  readonly verified: number;
  readonly agreed: number;
  readonly checked: number;
  readonly trusted: number;
  readonly failed: number;
  readonly refused: number;
  /** Promised by vouchers, and paid on chain when this was said. */
  readonly paidWei: string;
  readonly settledWei: string;
  readonly seconds: number;
}
