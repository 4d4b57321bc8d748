import type { LedgerError } from '#core/ledger/errors.ts';
import type { GrantRow, JobRow, JobTerms, PeerRecord, Standing } from '#core/ledger/requester-jobs.ts';
import type { JobChange } from '#core/ledger/requester-ledger.ts';
import type { Backend } from '#core/compute/port.ts';
import type { RequesterEvent } from '#shared/model/events.ts';
import type { LeaseId } from '#shared/protocol/work-messages.ts';
import type { PeerIdText } from '#shared/units.ts';
import { Board, emptyShard, isRuled, openAnswers, type BoardShard } from './board.ts';
import type { RequesterContext } from './context.ts';
import { Paymaster, type PeerAccount } from './paymaster.ts';
import { shunnedMs } from './policy/check-policy.ts';
import { REFEREE, verdictsOf, type RuledAnswer, type Step } from './ruling.ts';
import type { Session } from './session.ts';

export interface OpenGrant extends Omit<GrantRow, 'shards' | 'state'> {
  /** Not answered yet. */
  readonly left: Set<number>;
}

type JobEvent = RequesterEvent extends infer E ? (E extends unknown ? Omit<E, 'at' | 'jobId'> : never) : never;

/** What the parts of a running job share: board, leases, accounts, and the one way to change them. */
export class JobCore {
  readonly context: RequesterContext;
  readonly jobId: string;
  readonly offerId: JobRow['offerId'];
  readonly terms: JobTerms;
  readonly board: Board;
  readonly paymaster: Paymaster;
  readonly grants = new Map<LeaseId, OpenGrant>();
  readonly sessions = new Map<PeerIdText, Session>();
  readonly startDelivery: number;
  /** Set when the ledger refused: this core is thrown away and made anew from what is stored. */
  halted: LedgerError | undefined;
  /** Told after each step that was stored. */
  onStored: (step: Step) => void = () => {};
  onHalted: (error: LedgerError) => void = () => {};
  private readonly standings = new Map<string, Standing>();
  private readonly records = new Map<PeerIdText, PeerRecord>();
  private readonly failureCodes = new Map<number, string>();

  constructor(context: RequesterContext, row: JobRow) {
    this.context = context;
    this.jobId = row.jobId;
    this.offerId = row.offerId;
    this.terms = row.terms;
    this.startDelivery = row.nextDelivery;
    this.board = new Board(row.nextIndex, row.terms.count);
    this.paymaster = new Paymaster(context, row);
    this.restore();
  }

  emit(event: JobEvent): void {
    this.context.emit({ ...event, at: this.context.clock.now(), jobId: this.jobId });
  }

  standing(peer: PeerIdText, backend: Backend): Standing {
    const key = `${peer} ${backend}`;
    let known = this.standings.get(key);
    if (known === undefined) {
      known = this.context.ledger.standing(peer, this.terms.modelDigest, backend);
      this.standings.set(key, known);
    }
    return known;
  }

  peerRecord(peer: PeerIdText): PeerRecord {
    let known = this.records.get(peer);
    if (known === undefined) {
      known = this.context.ledger.peer(peer);
      this.records.set(peer, known);
    }
    return known;
  }

  failureOf(shard: BoardShard): string {
    return this.failureCodes.get(shard.index) ?? 'work.shard_failed';
  }

  /** Outputs of answers that only the ledger has, after a restart. */
  hydrate(shard: BoardShard): void {
    for (const answer of openAnswers(shard)) {
      answer.outputs ??= this.context.ledger.outputs(this.jobId, shard.index, answer.peer);
    }
  }

  /** Stores a step; false where the ledger could not, and this core is done for. Only a stored step is acted on. */
  commit(step: Step, extra: JobChange = {}): boolean {
    if (this.halted !== undefined) return false;
    const lies = step.ruled.filter(({ accepted, code }) => !accepted && code === 'work.deviant');
    const change: JobChange = {
      ...extra,
      shards: [...(extra.shards ?? []), ...step.shards],
      newAnswers: step.newAnswers,
      answers: [...step.answers, ...(extra.answers ?? [])],
      outputs: step.outputs,
      counted: countsOf(step),
      channelCounts: this.channelCounts(step.ruled),
      standings: this.newStandings(step.ruled),
      peers: this.newRecords(lies),
    };
    const stored = this.context.ledger.apply(this.jobId, change);
    if (!stored.ok) {
      this.halted = stored.error;
      this.onHalted(stored.error);
      return false;
    }
    this.act(step, lies);
    this.onStored(step);
    return true;
  }

  private act(step: Step, lies: readonly RuledAnswer[]): void {
    for (const { answer, index, accepted } of step.ruled) {
      const account = this.paymaster.accounts.get(answer.peer);
      if (account === undefined) continue;
      account.pending -= 1;
      if (accepted) account.due.add(index);
    }
    for (const [peer, byLease] of verdictsOf(step.ruled)) {
      const link = this.sessions.get(peer)?.link;
      for (const [leaseId, items] of byLease) link?.send({ kind: 'verdicts', body: { leaseId, items } });
    }
    for (const { index, peer, by } of step.verified)
      this.emit({ type: 'shard.verified', shard: index, peerId: peer, by });
    for (const { index, code } of step.failed) {
      this.failureCodes.set(index, code);
      this.emit({ type: 'shard.failed', shard: index, code });
    }
    for (const { answer, index, accepted, code } of step.ruled) {
      if (!accepted) this.emit({ type: 'shard.refused', shard: index, peerId: answer.peer, code });
    }
    for (const { answer, index } of lies) this.denounce(answer.peer, index);
  }

  private denounce(peer: PeerIdText, index: number): void {
    const { lies } = this.peerRecord(peer);
    // Not reported to the network: a ban there cuts the conversation over which the liar is owed verdicts, and pay for
    // what it did right. It is shunned here, where it would get work.
    this.emit({ type: 'peer.lied', peerId: peer, shard: index, lies, shunnedMs: shunnedMs(lies) });
  }

  private channelCounts(ruled: readonly RuledAnswer[]): NonNullable<JobChange['channelCounts']> {
    const counts = new Map<PeerAccount, { accepted: number; refused: number }>();
    for (const { answer, accepted } of ruled) {
      const account = this.paymaster.accounts.get(answer.peer);
      if (account === undefined) continue;
      const count = counts.get(account) ?? { accepted: 0, refused: 0 };
      counts.set(account, count);
      if (accepted) count.accepted += 1;
      else count.refused += 1;
    }
    return [...counts].map(([{ channel }, count]) => ({ reference: channel.reference, ...count }));
  }

  private newStandings(ruled: readonly RuledAnswer[]): readonly Standing[] {
    const changed = new Map<string, Standing>();
    for (const { answer, accepted, looked } of ruled) {
      if (!looked) continue;
      const before = this.standing(answer.peer, answer.backend);
      const after: Standing = accepted
        ? { ...before, streak: before.streak + 1, valid: before.valid + 1 }
        : { ...before, streak: 0, invalid: before.invalid + 1 };
      const key = `${answer.peer} ${answer.backend}`;
      this.standings.set(key, after);
      changed.set(key, after);
    }
    return [...changed.values()];
  }

  private newRecords(lies: readonly RuledAnswer[]): readonly PeerRecord[] {
    const changed = new Map<PeerIdText, PeerRecord>();
    for (const { answer } of lies) {
      const before = this.peerRecord(answer.peer);
      const count = before.lies + 1;
      const until = this.context.clock.now() + shunnedMs(count);
      const after = { peer: answer.peer, lies: count, shunnedUntil: Math.max(before.shunnedUntil, until) };
      this.records.set(answer.peer, after);
      changed.set(answer.peer, after);
    }
    return [...changed.values()];
  }

  /** Board, leases and accounts as the ledger has them. */
  private restore(): void {
    const { shards, answers, grants } = this.context.ledger.unfinishedWork(this.jobId);
    for (const row of shards) this.board.shards.set(row.index, Object.assign(emptyShard(row.index), row));
    for (const row of answers) {
      this.board.shards.get(row.index)?.answers.set(row.peer, { ...row, outputs: undefined });
      const account = this.paymaster.accounts.get(row.peer);
      if (account === undefined) continue;
      if (row.state === 'received') account.pending += 1;
      if (row.state === 'agreed' || row.state === 'checked' || row.state === 'trusted') account.due.add(row.index);
    }
    for (const grant of grants) this.restoreGrant(grant);
    for (const shard of this.board.shards.values()) this.restoreShard(shard);
  }

  private restoreGrant(grant: GrantRow): void {
    const left = new Set<number>();
    for (const index of grant.shards) {
      const shard = this.board.shards.get(index);
      if (shard === undefined || shard.answers.has(grant.peer)) continue;
      shard.holders.add(grant.peer);
      left.add(index);
    }
    const account = this.paymaster.accounts.get(grant.peer);
    if (account !== undefined) account.leased += left.size;
    this.grants.set(grant.leaseId, { ...grant, left });
  }

  private restoreShard(shard: BoardShard): void {
    if (isRuled(shard)) {
      const right = [...shard.answers.values()].find(({ state }) => state !== 'refused' && state !== 'received');
      shard.source = right?.peer ?? REFEREE;
    } else if (shard.state === 'queued') this.board.queued.add(shard.index);
    else if (shard.state === 'answered' && shard.holders.size === 0) this.board.waiting.add(shard.index);
    shard.waitingSince = this.context.clock.now();
  }
}

function countsOf(step: Step): NonNullable<JobChange['counted']> {
  const counted = { agreed: 0, checked: 0, trusted: 0, failed: step.failed.length, refused: 0 };
  for (const { by } of step.verified) counted[by] += 1;
  counted.refused = step.ruled.filter(({ accepted }) => !accepted).length;
  return counted;
}
