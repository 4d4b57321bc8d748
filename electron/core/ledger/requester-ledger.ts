import type { Backend } from '#core/compute/port.ts';
import type { Voucher } from '#core/chain/port.ts';
import type { AnswerState, GrantState, JobState, ShardState } from '#shared/model/job-states.ts';
import type { Result } from '#shared/result.ts';
import type { LeaseId, OfferId, TensorLayout } from '#shared/protocol/work-messages.ts';
import { tensorsOf } from '#shared/protocol/work-tensors.ts';
import { DTYPE_BYTES, elementCount, type NamedTensors } from '#shared/model/tensor.ts';
import type { Hex, PeerIdText, Sha256Hex } from '#shared/units.ts';
import type { Database, Move } from './database.ts';
import type { LedgerError } from './errors.ts';
import { RequesterChannels } from './requester-channels.ts';
import {
  answerOf,
  grantOf,
  jobOf,
  shardOf,
  termsText,
  type AnswerRow,
  type GrantRow,
  type JobCounters,
  type JobRow,
  type PeerRecord,
  type ShardRow,
  type Standing,
} from './requester-jobs.ts';
import { bytesOf, joinBytes, layoutBlob, layoutOfRow, numberOf, textOf } from './rows.ts';

export interface ShardMove {
  readonly index: number;
  readonly from: ShardState | undefined;
  readonly to: ShardState;
  /** Given when the shard is first leased. */
  readonly inputDigest?: Sha256Hex;
  readonly failures?: number;
}

/** Everything that one step of a job changes: it is stored whole or not at all. */
export interface JobChange {
  readonly grant?: Omit<GrantRow, 'state'>;
  readonly grantMoves?: readonly { readonly leaseId: LeaseId; readonly from: GrantState; readonly to: GrantState }[];
  readonly shards?: readonly ShardMove[];
  readonly newAnswers?: readonly AnswerRow[];
  readonly answers?: readonly {
    readonly index: number;
    readonly peer: PeerIdText;
    readonly from: AnswerState;
    readonly to: AnswerState;
    readonly code?: string;
  }[];
  readonly outputs?: readonly {
    readonly index: number;
    readonly source: string;
    readonly layout: TensorLayout;
    readonly parts: readonly Uint8Array[];
  }[];
  /** All outputs kept for these shards, whoever sent them. */
  readonly dropOutputs?: readonly number[];
  readonly nextIndex?: number;
  readonly nextDelivery?: number;
  readonly counted?: Partial<JobCounters>;
  readonly channelCounts?: readonly { readonly reference: Hex; readonly accepted: number; readonly refused: number }[];
  readonly standings?: readonly Standing[];
  readonly peers?: readonly PeerRecord[];
  /** Makes the whole change durable against the machine's death too. */
  readonly payment?: { readonly reference: Hex; readonly voucher: Voucher };
}

export interface UnfinishedWork {
  readonly shards: readonly ShardRow[];
  readonly answers: readonly AnswerRow[];
  readonly grants: readonly GrantRow[];
}

/** All that a buyer must not forget. */
export class RequesterLedger {
  readonly channels: RequesterChannels;
  private readonly db: Database;

  constructor(db: Database) {
    this.db = db;
    this.channels = new RequesterChannels(db);
  }

  createJob(job: Pick<JobRow, 'jobId' | 'offerId' | 'terms'>, now: number): Result<void, LedgerError> {
    return this.db.transition([{ machine: 'job', id: job.jobId, from: undefined, to: 'running' }], () => {
      this.db.run(
        `INSERT INTO jobs (job_id, offer_id, state, terms, created_at) VALUES (?, ?, 'running', ?, ?)`,
        job.jobId,
        job.offerId,
        termsText(job.terms),
        now,
      );
    });
  }

  moveJob(jobId: string, from: JobState, to: JobState, reason = ''): Result<void, LedgerError> {
    return this.db.transition([{ machine: 'job', id: jobId, from, to }], () =>
      this.db.runOne('UPDATE jobs SET state = ?, reason = ? WHERE job_id = ? AND state = ?', to, reason, jobId, from),
    );
  }

  job(jobId: string): JobRow | undefined {
    const row = this.db.get('SELECT * FROM jobs WHERE job_id = ?', jobId);
    return row === undefined ? undefined : jobOf(row);
  }

  jobByOffer(offerId: OfferId): JobRow | undefined {
    const row = this.db.get('SELECT * FROM jobs WHERE offer_id = ?', offerId);
    return row === undefined ? undefined : jobOf(row);
  }

  unfinishedJobs(): readonly JobRow[] {
    return this.db.all(`SELECT * FROM jobs WHERE state <> 'finished' ORDER BY created_at`).map(jobOf);
  }

  /** What of a job is still in the air: shards not final or not delivered, their answers, and leases not ended. */
  unfinishedWork(jobId: string): UnfinishedWork {
    const alive = `(state NOT IN ('settled', 'failed') OR shard >= (SELECT next_delivery FROM jobs WHERE job_id = ?1))`;
    return {
      shards: this.db.all(`SELECT * FROM shards WHERE job_id = ?1 AND ${alive} ORDER BY shard`, jobId).map(shardOf),
      answers: this.db
        .all(
          `SELECT * FROM answers WHERE job_id = ?1 AND shard IN (SELECT shard FROM shards WHERE job_id = ?1 AND ${alive})`,
          jobId,
        )
        .map(answerOf),
      grants: this.db.all(`SELECT * FROM grants WHERE job_id = ? AND state = 'open'`, jobId).map(grantOf),
    };
  }

  apply(jobId: string, change: JobChange): Result<void, LedgerError> {
    return this.db.transition(movesOf(jobId, change), () => this.write(jobId, change), {
      durable: change.payment !== undefined,
    });
  }

  grant(leaseId: LeaseId): (GrantRow & { readonly jobId: string }) | undefined {
    const row = this.db.get('SELECT * FROM grants WHERE lease_id = ?', leaseId);
    return row === undefined ? undefined : { ...grantOf(row), jobId: textOf(row, 'job_id') };
  }

  /** What this peer answered to these shards before, by shard. */
  answersOf(jobId: string, peer: PeerIdText, indices: readonly number[]): ReadonlyMap<number, AnswerRow> {
    const found = new Map<number, AnswerRow>();
    for (const index of indices) {
      const row = this.db.get('SELECT * FROM answers WHERE job_id = ? AND shard = ? AND peer = ?', jobId, index, peer);
      if (row !== undefined) found.set(index, answerOf(row));
    }
    return found;
  }

  /** Outputs kept for a shard; undefined once they were delivered. */
  outputs(jobId: string, index: number, source: string): NamedTensors | undefined {
    const row = this.db.get(
      'SELECT layout, bytes FROM outputs WHERE job_id = ? AND shard = ? AND source = ?',
      jobId,
      index,
      source,
    );
    return row === undefined ? undefined : splitBytes(layoutOfRow(row), bytesOf(row, 'bytes'));
  }

  saveDoneStatement(leaseId: LeaseId, statement: Uint8Array): Result<void, LedgerError> {
    return this.db.write(() => {
      this.db.run('UPDATE grants SET done_statement = ? WHERE lease_id = ?', statement, leaseId);
    });
  }

  /** Digest-like list of the statements a peer signed for a job: the evidence behind its feedback. */
  doneStatements(jobId: string, peer: PeerIdText): readonly Uint8Array[] {
    return this.db
      .all(
        'SELECT done_statement FROM grants WHERE job_id = ? AND peer = ? AND done_statement IS NOT NULL ORDER BY lease_id',
        jobId,
        peer,
      )
      .map((row) => bytesOf(row, 'done_statement'));
  }

  peer(peer: PeerIdText): PeerRecord {
    const row = this.db.get('SELECT * FROM peers WHERE peer = ?', peer);
    return row === undefined
      ? { peer, lies: 0, shunnedUntil: 0 }
      : { peer, lies: numberOf(row, 'lies'), shunnedUntil: numberOf(row, 'shunned_until') };
  }

  standing(peer: PeerIdText, modelDigest: Sha256Hex, backend: Backend): Standing {
    const row = this.db.get(
      'SELECT * FROM standings WHERE peer = ? AND model_digest = ? AND backend = ?',
      peer,
      modelDigest,
      backend,
    );
    if (row === undefined) return { peer, modelDigest, backend, streak: 0, valid: 0, invalid: 0 };
    return {
      peer,
      modelDigest,
      backend,
      streak: numberOf(row, 'streak'),
      valid: numberOf(row, 'valid'),
      invalid: numberOf(row, 'invalid'),
    };
  }

  /** Forgets what nobody can ask for again: settled and delivered shards of leases that ended before this time (Unix milliseconds). */
  prune(jobId: string, expiredBefore: number): Result<void, LedgerError> {
    return this.db.write(() => {
      const leases = `SELECT lease_id FROM grants WHERE job_id = ?1 AND state <> 'open' AND expires_at < ?2`;
      const done = `SELECT shard FROM shards WHERE job_id = ?1 AND state IN ('settled', 'failed')
        AND shard < (SELECT next_delivery FROM jobs WHERE job_id = ?1)`;
      this.db.run(
        `DELETE FROM answers WHERE job_id = ?1 AND lease_id IN (${leases}) AND shard IN (${done})`,
        jobId,
        expiredBefore,
      );
      this.db.run(
        `DELETE FROM shards WHERE job_id = ?1 AND shard IN (${done})
         AND NOT EXISTS (SELECT 1 FROM answers a WHERE a.job_id = ?1 AND a.shard = shards.shard)`,
        jobId,
      );
      this.db.run(
        `DELETE FROM grants WHERE lease_id IN (${leases})
         AND NOT EXISTS (SELECT 1 FROM answers a WHERE a.job_id = ?1 AND a.lease_id = grants.lease_id)`,
        jobId,
        expiredBefore,
      );
    });
  }

  close(): void {
    this.db.close();
  }

  private write(jobId: string, change: JobChange): void {
    this.writeGrants(jobId, change);
    for (const move of change.shards ?? []) this.writeShard(jobId, move);
    this.writeAnswers(jobId, change);
    for (const { index, source, layout, parts } of change.outputs ?? []) {
      this.db.run(
        'INSERT OR REPLACE INTO outputs (job_id, shard, source, layout, bytes) VALUES (?, ?, ?, ?, ?)',
        jobId,
        index,
        source,
        layoutBlob(layout),
        joinBytes(parts),
      );
    }
    for (const index of change.dropOutputs ?? [])
      this.db.run('DELETE FROM outputs WHERE job_id = ? AND shard = ?', jobId, index);
    this.writeJob(jobId, change);
    this.writePeers(change);
    if (change.payment !== undefined) this.channels.writeVoucher(change.payment.reference, change.payment.voucher);
  }

  private writeGrants(jobId: string, change: JobChange): void {
    if (change.grant !== undefined) {
      const { leaseId, peer, shards, statementDigest, expiresAt } = change.grant;
      this.db.run(
        `INSERT INTO grants (lease_id, job_id, peer, state, shards, statement_digest, expires_at) VALUES (?, ?, ?, 'open', ?, ?, ?)`,
        leaseId,
        jobId,
        peer,
        JSON.stringify(shards),
        statementDigest,
        expiresAt,
      );
    }
    for (const { leaseId, from, to } of change.grantMoves ?? []) {
      this.db.runOne('UPDATE grants SET state = ? WHERE lease_id = ? AND state = ?', to, leaseId, from);
    }
  }

  private writeShard(jobId: string, move: ShardMove): void {
    if (move.from === undefined) {
      this.db.run(
        'INSERT INTO shards (job_id, shard, state, input_digest) VALUES (?, ?, ?, ?)',
        jobId,
        move.index,
        move.to,
        move.inputDigest ?? '',
      );
    } else if (move.failures === undefined) {
      this.db.runOne(
        'UPDATE shards SET state = ? WHERE job_id = ? AND shard = ? AND state = ?',
        move.to,
        jobId,
        move.index,
        move.from,
      );
    } else {
      this.db.runOne(
        'UPDATE shards SET state = ?, failures = ? WHERE job_id = ? AND shard = ? AND state = ?',
        move.to,
        move.failures,
        jobId,
        move.index,
        move.from,
      );
    }
  }

  private writeAnswers(jobId: string, change: JobChange): void {
    for (const answer of change.newAnswers ?? []) {
      this.db.run(
        `INSERT INTO answers (job_id, shard, peer, lease_id, state, code, digest, backend, compute_micros) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
        jobId,
        answer.index,
        answer.peer,
        answer.leaseId,
        answer.state,
        answer.code,
        answer.digest,
        answer.backend,
        answer.computeMicros,
      );
    }
    for (const { index, peer, from, to, code } of change.answers ?? []) {
      this.db.runOne(
        'UPDATE answers SET state = ?, code = coalesce(?, code) WHERE job_id = ? AND shard = ? AND peer = ? AND state = ?',
        to,
        code ?? null,
        jobId,
        index,
        peer,
        from,
      );
    }
  }

  private writeJob(jobId: string, change: JobChange): void {
    if (change.nextIndex !== undefined)
      this.db.runOne('UPDATE jobs SET next_index = ? WHERE job_id = ?', change.nextIndex, jobId);
    if (change.nextDelivery !== undefined) {
      this.db.runOne('UPDATE jobs SET next_delivery = ? WHERE job_id = ?', change.nextDelivery, jobId);
    }
    const { agreed = 0, checked = 0, trusted = 0, failed = 0, refused = 0 } = change.counted ?? {};
    if (agreed + checked + trusted + failed + refused > 0) {
      this.db.runOne(
        `UPDATE jobs SET agreed = agreed + ?, checked = checked + ?, trusted = trusted + ?, failed = failed + ?, refused = refused + ? WHERE job_id = ?`,
        agreed,
        checked,
        trusted,
        failed,
        refused,
        jobId,
      );
    }
    for (const { reference, accepted, refused } of change.channelCounts ?? []) {
      this.db.run(
        'UPDATE channels SET accepted = accepted + ?, refused = refused + ? WHERE reference = ?',
        accepted,
        refused,
        reference,
      );
    }
  }

  private writePeers(change: JobChange): void {
    for (const standing of change.standings ?? []) {
      this.db.run(
        'INSERT OR REPLACE INTO standings (peer, model_digest, backend, streak, valid, invalid) VALUES (?, ?, ?, ?, ?, ?)',
        standing.peer,
        standing.modelDigest,
        standing.backend,
        standing.streak,
        standing.valid,
        standing.invalid,
      );
    }
    for (const { peer, lies, shunnedUntil } of change.peers ?? []) {
      this.db.run(
        'INSERT OR REPLACE INTO peers (peer, lies, shunned_until) VALUES (?, ?, ?)',
        peer,
        lies,
        shunnedUntil,
      );
    }
  }
}

function movesOf(jobId: string, change: JobChange): Move[] {
  const moves: Move[] = [];
  if (change.grant !== undefined)
    moves.push({ machine: 'grant', id: change.grant.leaseId, from: undefined, to: 'open' });
  for (const { leaseId, from, to } of change.grantMoves ?? []) moves.push({ machine: 'grant', id: leaseId, from, to });
  for (const { index, from, to } of change.shards ?? [])
    moves.push({ machine: 'shard', id: `${jobId}/${index}`, from, to });
  for (const { index, peer, state } of change.newAnswers ?? []) {
    moves.push({ machine: 'answer', id: `${jobId}/${index}/${peer}`, from: undefined, to: state });
  }
  for (const { index, peer, from, to } of change.answers ?? []) {
    moves.push({ machine: 'answer', id: `${jobId}/${index}/${peer}`, from, to });
  }
  return moves;
}

function splitBytes(layout: TensorLayout, bytes: Uint8Array): NamedTensors {
  let at = 0;
  const parts = layout.tensors.map((spec) => {
    const size = elementCount(spec.dims) * DTYPE_BYTES[spec.dtype];
    at += size;
    return bytes.subarray(at - size, at);
  });
  return tensorsOf(layout, parts);
}
