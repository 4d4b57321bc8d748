import type { GrantState } from '#shared/model/job-states.ts';
import { doneStatement, type LeaseId } from '#shared/protocol/work-messages.ts';
import { decode } from '#shared/protocol/work-wire.ts';
import { appError, type AppError } from '#shared/errors.ts';
import { err, ok, type Result } from '#shared/result.ts';
import type { PeerIdText } from '#shared/units.ts';
import type { BoardShard } from './board.ts';
import type { JobCore, OpenGrant } from './job-core.ts';
import { Step } from './ruling.ts';

/** Leases that end without an answer: run out, given back, or held by a peer that is gone. */
export class Leases {
  readonly toReferee: (shard: BoardShard) => void;
  private readonly core: JobCore;
  /** Peers that vanished without a word, since when (Unix milliseconds). */
  private readonly away = new Map<PeerIdText, number>();
  /** Leases taken from vanished peers: until when they could still come back without blame. */
  private readonly broken = new Map<PeerIdText, number>();

  constructor(core: JobCore, toReferee: (shard: BoardShard) => void) {
    this.core = core;
    this.toReferee = toReferee;
  }

  /** After a restart nobody is connected: holders get the usual time to join again. */
  resume(): void {
    const { core } = this;
    const now = core.context.clock.now();
    for (const { peer } of core.grants.values()) this.away.set(peer, now);
    const step = new Step();
    for (const shard of core.board.shards.values()) {
      if (shard.state === 'disputed') this.toReferee(shard);
      else if (shard.state === 'assigned' && shard.holders.size === 0) this.requeue(step, shard);
      else step.settle(shard);
    }
    core.commit(step);
  }

  /** The peer is back: leases that it has no results for were given back. */
  rejoined(peer: PeerIdText, leaseIds: readonly string[]): void {
    this.away.delete(peer);
    this.broken.delete(peer);
    const kept = new Set(leaseIds);
    this.endAll(
      [...this.core.grants.values()].filter((grant) => grant.peer === peer && !kept.has(grant.leaseId)),
      'returned',
    );
  }

  left(peer: PeerIdText, saidSo: boolean): void {
    const held = [...this.core.grants.values()].filter((grant) => grant.peer === peer);
    if (saidSo) this.endAll(held, 'returned');
    else if (held.length > 0) this.away.set(peer, this.core.context.clock.now());
  }

  tick(now: number): void {
    const { core } = this;
    this.endAll(
      [...core.grants.values()].filter(({ expiresAt }) => expiresAt <= now),
      'expired',
    );
    for (const [peer, since] of this.away) {
      if (now - since < core.context.settings.rejoinMs) continue;
      this.away.delete(peer);
      const held = [...core.grants.values()].filter((grant) => grant.peer === peer);
      if (held.length > 0) this.broken.set(peer, Math.max(...held.map(({ expiresAt }) => expiresAt)));
      this.endAll(held, 'returned');
    }
    for (const [peer, until] of this.broken) {
      if (now < until) continue;
      this.broken.delete(peer);
      core.context.network.report(peer, 'broken_lease');
    }
  }

  /** The provider's signed word on a lease: kept as evidence when it fits what was leased. */
  done(peer: PeerIdText, leaseId: LeaseId, payload: Uint8Array): Result<void, AppError | undefined> {
    const { core } = this;
    const grant = core.context.ledger.grant(leaseId);
    if (grant?.peer !== peer) return ok();
    const parsed = decode(doneStatement, payload);
    if (!parsed.ok) return parsed;
    const { offerId, leaseDigest, outputs } = parsed.value;
    const answers = core.context.ledger.answersOf(
      core.jobId,
      peer,
      outputs.map(({ index }) => index),
    );
    const isTrue =
      offerId === core.offerId &&
      parsed.value.leaseId === leaseId &&
      leaseDigest === grant.statementDigest &&
      outputs.every(({ index, digest }) => {
        const answer = answers.get(index);
        return answer === undefined || answer.leaseId !== leaseId || answer.digest === digest;
      });
    if (!isTrue) return err(appError('work.statement_false', 'The peer signed for other outputs than it sent.'));
    const saved = core.context.ledger.saveDoneStatement(leaseId, payload);
    return saved.ok ? ok() : err(undefined);
  }

  private endAll(grants: readonly OpenGrant[], to: Extract<GrantState, 'expired' | 'returned'>): void {
    if (grants.length === 0) return;
    const { core } = this;
    const step = new Step();
    for (const grant of grants) {
      const account = core.paymaster.accounts.get(grant.peer);
      for (const index of grant.left) {
        const shard = core.board.shards.get(index);
        if (account !== undefined) account.leased -= 1;
        if (shard === undefined) continue;
        if (core.board.release(shard, grant.peer)) this.requeue(step, shard);
        else step.settle(shard);
      }
      core.grants.delete(grant.leaseId);
    }
    const grantMoves = grants.map(({ leaseId }) => ({ leaseId, from: 'open' as const, to }));
    if (!core.commit(step, { grantMoves })) return;
    for (const { leaseId, peer, left } of grants) {
      if (left.size > 0) core.emit({ type: 'lease.expired', leaseId, peerId: peer, shards: left.size });
    }
  }

  private requeue(step: Step, shard: BoardShard): void {
    if (shard.refereed) return;
    if (shard.state === 'assigned') step.move(shard, 'queued');
    this.core.board.queued.add(shard.index);
  }
}
