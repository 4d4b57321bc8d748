import { z } from 'zod';
import type { AnswerState, GrantState, JobState, ShardState } from '#shared/model/job-states.ts';
import type { LeaseId, OfferId } from '#shared/protocol/work-messages.ts';
import type { Backend } from '#core/compute/port.ts';
import { wei, type PeerIdText, type Sha256Hex } from '#shared/units.ts';
import type { Row } from './database.ts';
import { numberOf, textOf } from './rows.ts';

const decimal = z
  .string()
  .regex(/^[0-9]{1,78}$/)
  .transform((text) => wei(BigInt(text)));

/** What a job was promised to cost and how it is checked; fixed for its life. Kept as JSON in the ledger. */
export const jobTermsSchema = z.object({
  modelCid: z.string(),
  modelDigest: z.string().transform((text) => text as Sha256Hex),
  modelBytes: z.number(),
  priceWei: decimal,
  budgetWei: decimal,
  checks: z.enum(['full', 'adaptive', 'referee']),
  /** Largest relative L2 distance between two right answers. */
  tolerance: z.number(),
  /** Shards in all; absent for a job that goes on until it is stopped. */
  count: z.number().optional(),
  backends: z.array(z.enum(['cpu', 'webgpu', 'cuda'])),
  /** Unix milliseconds. */
  deadline: z.number(),
});
export type JobTerms = z.infer<typeof jobTermsSchema>;

export interface JobCounters {
  /** Shards by how their answer was found right. */
  readonly agreed: number;
  readonly checked: number;
  readonly trusted: number;
  readonly failed: number;
  /** Answers refused. */
  readonly refused: number;
}

export interface JobRow extends JobCounters {
  readonly jobId: string;
  readonly offerId: OfferId;
  readonly state: JobState;
  readonly reason: string;
  readonly terms: JobTerms;
  readonly nextIndex: number;
  readonly nextDelivery: number;
}

export interface ShardRow {
  readonly index: number;
  readonly state: ShardState;
  readonly inputDigest: Sha256Hex;
  readonly failures: number;
}

export interface AnswerRow {
  readonly index: number;
  readonly peer: PeerIdText;
  readonly leaseId: LeaseId;
  readonly state: AnswerState;
  readonly code: string;
  readonly digest: Sha256Hex;
  readonly backend: Backend;
  readonly computeMicros: number;
}

export interface GrantRow {
  readonly leaseId: LeaseId;
  readonly peer: PeerIdText;
  readonly state: GrantState;
  readonly shards: readonly number[];
  readonly statementDigest: Sha256Hex;
  readonly expiresAt: number;
}

export interface Standing {
  readonly peer: PeerIdText;
  readonly modelDigest: Sha256Hex;
  readonly backend: Backend;
  /** Valid results in a row. */
  readonly streak: number;
  readonly valid: number;
  readonly invalid: number;
}

export interface PeerRecord {
  readonly peer: PeerIdText;
  readonly lies: number;
  /** Unix milliseconds until which the peer gets no lease. */
  readonly shunnedUntil: number;
}

export function termsText(terms: JobTerms): string {
  return JSON.stringify({ ...terms, priceWei: terms.priceWei.toString(), budgetWei: terms.budgetWei.toString() });
}

export function jobOf(row: Row): JobRow {
  return {
    jobId: textOf(row, 'job_id'),
    offerId: textOf<OfferId>(row, 'offer_id'),
    state: textOf<JobState>(row, 'state'),
    reason: textOf(row, 'reason'),
    terms: jobTermsSchema.parse(JSON.parse(textOf(row, 'terms'))),
    nextIndex: numberOf(row, 'next_index'),
    nextDelivery: numberOf(row, 'next_delivery'),
    agreed: numberOf(row, 'agreed'),
    checked: numberOf(row, 'checked'),
    trusted: numberOf(row, 'trusted'),
    failed: numberOf(row, 'failed'),
    refused: numberOf(row, 'refused'),
  };
}

export function shardOf(row: Row): ShardRow {
  return {
    index: numberOf(row, 'shard'),
    state: textOf<ShardState>(row, 'state'),
    inputDigest: textOf<Sha256Hex>(row, 'input_digest'),
    failures: numberOf(row, 'failures'),
  };
}

export function answerOf(row: Row): AnswerRow {
  return {
    index: numberOf(row, 'shard'),
    peer: textOf<PeerIdText>(row, 'peer'),
    leaseId: textOf<LeaseId>(row, 'lease_id'),
    state: textOf<AnswerState>(row, 'state'),
    code: textOf(row, 'code'),
    digest: textOf<Sha256Hex>(row, 'digest'),
    backend: textOf<Backend>(row, 'backend'),
    computeMicros: numberOf(row, 'compute_micros'),
  };
}

export function grantOf(row: Row): GrantRow {
  return {
    leaseId: textOf<LeaseId>(row, 'lease_id'),
    peer: textOf<PeerIdText>(row, 'peer'),
    state: textOf<GrantState>(row, 'state'),
    shards: z.array(z.number()).parse(JSON.parse(textOf(row, 'shards'))),
    statementDigest: textOf<Sha256Hex>(row, 'statement_digest'),
    expiresAt: numberOf(row, 'expires_at'),
  };
}
