import type { ModelSource } from '#core/compute/port.ts';
import type { LedgerError } from '#core/ledger/errors.ts';
import type { JobRow } from '#core/ledger/requester-jobs.ts';
import { appError, type AppError } from '#shared/errors.ts';
import type { JobSummary } from '#shared/model/events.ts';
import type { JobState } from '#shared/model/job-states.ts';
import { offer as offerType, type LeaseId } from '#shared/protocol/work-messages.ts';
import { encode } from '#shared/protocol/work-wire.ts';
import { err, ok, type Result } from '#shared/result.ts';
import { wei } from '#shared/units.ts';
import { closeChannels } from './closing.ts';
import type { RequesterContext } from './context.ts';
import type { Intake } from './intake.ts';
import type { Job, JobHandle, JobStatus, RequesterError } from './job.ts';
import type { JobCore } from './job-core.ts';
import { isBroke, isComplete, isQuiet } from './job-endings.ts';
import { assembleJob, type JobParts } from './job-parts.ts';
import { offerOf } from './offer.ts';
import type { Session } from './session.ts';

const TICK_MS = 100;
const PRUNE_EVERY_MS = 60_000;
/** Answers may come this long after their lease has run out. */
const LATE_MS = 10 * 60_000;
const RELOAD_MS = 5000;
/** Errors in a row after which a peer is sent away: it cannot compute this model. */
const MOST_ERRORS = 8;

/** One job from its first offer to its last closed channel. */
export class JobRun {
  readonly jobId: string;
  readonly offerId: JobRow['offerId'];
  readonly handle: JobHandle;
  private readonly context: RequesterContext;
  private readonly job: Job;
  private readonly model: ModelSource;
  private readonly stopping = new AbortController();
  private readonly startedAt: number;
  private resolveDone: (result: Result<JobSummary, RequesterError>) => void = () => {};
  private parts: JobParts;
  private state: JobState;
  private finishingUp = false;
  private failure: RequesterError | undefined;
  private loops: Promise<unknown> = Promise.resolve();
  private aloneSince: number;
  private prunedAt: number;

  constructor(context: RequesterContext, row: JobRow, job: Job, model: ModelSource) {
    this.context = context;
    this.jobId = row.jobId;
    this.offerId = row.offerId;
    this.job = job;
    this.model = model;
    this.state = row.state;
    this.startedAt = context.clock.now();
    this.aloneSince = this.startedAt;
    this.prunedAt = this.startedAt;
    this.parts = this.assemble(row);
    this.handle = {
      jobId: row.jobId,
      offerId: row.offerId,
      done: new Promise((resolve) => {
        this.resolveDone = resolve;
      }),
      status: () => this.status(),
      finishUp: () => this.finishUp(),
    };
  }

  start(): void {
    const { core } = this.parts;
    core.emit({ type: 'job.started', offerId: this.offerId, shards: core.terms.count });
    this.resumeParts();
    this.loops = Promise.all([this.publish(), this.ticking()]);
  }

  /** Ends at once; the ledger has all that is needed to go on. */
  async stop(): Promise<void> {
    this.stopping.abort();
    this.disband();
    await this.loops;
    await this.parts.referee.stopped();
    await this.parts.delivery.stop();
    await this.parts.granter.idle();
    this.resolveDone(
      err(appError('work.stopped', 'The program is stopping; the job goes on where it is when it is submitted again.')),
    );
  }

  get core(): JobCore {
    return this.parts.core;
  }

  /** No leases any more: wants are answered with Finished. */
  get isClosing(): boolean {
    return this.state === 'finishing' || this.state === 'finished';
  }

  /** A provider has been welcomed. One conversation each: a new one replaces the old. */
  attach(session: Session, resumes: readonly string[], sayWelcome: () => void): void {
    const { core, leases, payments } = this.parts;
    core.sessions.get(session.peer)?.link.abort(appError('work.replaced', 'The peer joined again.'));
    core.sessions.delete(session.peer);
    // What is owed goes into the voucher that the welcome carries.
    payments.flush(session.peer);
    sayWelcome();
    core.sessions.set(session.peer, session);
    leases.rejoined(session.peer, resumes);
    this.countPeers();
    core.emit({ type: 'peer.joined', peerId: session.peer, backend: session.backend });
  }

  detach(session: Session): void {
    const { core, leases } = this.parts;
    if (core.sessions.get(session.peer) !== session) return;
    core.sessions.delete(session.peer);
    leases.left(session.peer, session.saidLeave);
    this.countPeers();
    core.emit({ type: 'peer.left', peerId: session.peer, saidSo: session.saidLeave });
  }

  want(session: Session, maxShards: number): void {
    if (this.isClosing) {
      session.link.send({ kind: 'finished', body: { code: '' } });
      return;
    }
    session.parked.push({ maxShards, since: this.context.clock.now() });
    void this.serve(session);
  }

  async results(session: Session, message: Parameters<Intake['take']>[1]): ReturnType<Intake['take']> {
    const taken = await this.parts.intake.take(session, message);
    if (session.errors >= MOST_ERRORS) {
      const body = {
        code: 'work.too_many_errors',
        message: 'None of the last shards could be computed there.',
        retryAfterMs: 10 * 60_000,
      };
      session.link.send({ kind: 'refuse', body });
      session.saidLeave = true;
      void session.link.close();
    }
    return taken;
  }

  leaseDone(leaseId: LeaseId, session: Session, payload: Uint8Array): Result<void, AppError | undefined> {
    return this.parts.leases.done(session.peer, leaseId, payload);
  }

  private assemble(row: JobRow): JobParts {
    const parts = assembleJob(this.context, row, this.job, this.model, {
      stopping: this.stopping.signal,
      halted: (error) => this.halt(error),
      stored: () => this.hurry(parts),
      ownerFailed: (fault) =>
        this.end(appError('work.owner_failed', `The outputs could not be taken: ${textOf(fault)}`)),
    });
    if (this.finishingUp) parts.core.board.stopAtNext();
    return parts;
  }

  /** What a crash left half done: disputes, payments, deliveries, shards that were given up on. */
  private resumeParts(): void {
    const { core, leases, payments, delivery } = this.parts;
    leases.resume();
    payments.schedule([...core.paymaster.accounts.keys()]);
    delivery.poke();
    void core.paymaster.refresh();
  }

  private async serve(session: Session): Promise<void> {
    const { core, granter } = this.parts;
    if (session.serving) return;
    session.serving = true;
    try {
      while (session.parked[0] !== undefined && core.sessions.get(session.peer) === session && this.mayLease(session)) {
        const outcome = await granter.grant(session, session.parked[0].maxShards);
        if (outcome === 'no_funds') void core.paymaster.topUp(session.account);
        if (outcome !== 'granted') break;
        session.parked.shift();
      }
    } catch (fault) {
      // The owner's own source failed: nothing more can be leased, but what is done is paid.
      this.end(appError('work.input_changed', `The job’s inputs could not be made: ${textOf(fault)}`));
    } finally {
      session.serving = false;
    }
  }

  private mayLease(session: Session): boolean {
    const { core } = this.parts;
    if (this.failure !== undefined || this.isClosing || this.stopping.signal.aborted || core.halted !== undefined)
      return false;
    const shunned = core.peerRecord(session.peer).shunnedUntil - this.context.clock.now();
    if (shunned <= 0) return true;
    const retryAfterMs = Math.min(Math.ceil(shunned), 3_600_000);
    for (const _ of session.parked.splice(0)) session.link.send({ kind: 'wait', body: { retryAfterMs } });
    return false;
  }

  private async publish(): Promise<void> {
    const { clock, network, settings, logger } = this.context;
    while (!this.stopping.signal.aborted && this.state !== 'finished') {
      const offer = encode(offerType, offerOf(this.parts.core, this.failure !== undefined || this.isClosing));
      const published = await network.publish('offer', offer, settings.offerEveryMs * 5);
      if (!published.ok) logger.debug({ code: published.error.code }, 'an offer was heard by nobody');
      await clock.sleep(settings.offerEveryMs, this.stopping.signal);
    }
  }

  private async ticking(): Promise<void> {
    const { clock } = this.context;
    while (!this.stopping.signal.aborted) {
      await clock.sleep(TICK_MS, this.stopping.signal);
      if (this.stopping.signal.aborted) return;
      if (this.parts.core.halted === undefined) this.tick();
      if (this.isOver()) {
        await this.close();
        return;
      }
    }
  }

  private tick(): void {
    const { clock, settings, ledger } = this.context;
    const { core, leases } = this.parts;
    const now = clock.now();
    leases.tick(now);
    const patienceMs = core.sessions.size > 1 ? settings.patienceMs * 4 : settings.patienceMs;
    for (const shard of core.board.waitingShards()) {
      if (now - shard.waitingSince >= patienceMs) leases.toReferee(shard);
    }
    for (const session of core.sessions.values()) {
      void this.serve(session);
      while (session.parked[0] !== undefined && now - session.parked[0].since >= settings.parkMs && !session.serving) {
        session.parked.shift();
        session.link.send({ kind: 'wait', body: { retryAfterMs: 1000 } });
      }
      void core.paymaster.topUp(session.account);
    }
    if (now - this.prunedAt >= PRUNE_EVERY_MS) {
      this.prunedAt = now;
      ledger.prune(core.jobId, now - LATE_MS);
    }
    if (now >= core.terms.deadline) this.end(appError('work.deadline', 'The job’s deadline has passed.'));
    if (isBroke(this.parts)) {
      const remedy = 'Submit the job again under a new id with a larger budget.';
      this.end(
        appError('work.budget_exhausted', 'The job’s budget is spent before all of its shards were done.', { remedy }),
      );
    }
  }

  /** With a single peer about, a second opinion will not come: answers need not wait for it each time anew. */
  private hurry({ core, leases }: JobParts): void {
    const { clock, settings } = this.context;
    if (core.sessions.size > 1 || core.board.waiting.size === 0) return;
    if (clock.now() - this.aloneSince < settings.patienceMs) return;
    for (const shard of core.board.waitingShards()) leases.toReferee(shard);
  }

  private countPeers(): void {
    if (this.parts.core.sessions.size <= 1) this.aloneSince = this.context.clock.now();
  }

  /** What was leased once is seen to its end, also what came back. */
  private finishUp(): void {
    this.finishingUp = true;
    this.parts.core.board.stopAtNext();
  }

  /** Nothing is leased any more; what is in the air is still ruled and paid. */
  private end(failure: RequesterError): void {
    this.failure ??= failure;
  }

  private isOver(): boolean {
    if (this.isClosing) return true;
    const { core } = this.parts;
    if (core.halted !== undefined) return false;
    if (isComplete(core)) return true;
    return this.failure !== undefined && isQuiet(this.parts);
  }

  private async close(): Promise<void> {
    const { core, payments } = this.parts;
    const { ledger, clock } = this.context;
    for (const peer of core.paymaster.accounts.keys()) payments.flush(peer);
    if (this.state !== 'finishing') {
      const from = this.state;
      this.state = 'finishing';
      const moved = ledger.moveJob(this.jobId, from, 'finishing', this.failure?.code ?? '');
      if (!moved.ok) core.context.logger.warn({ code: moved.error.code }, moved.error.message);
    }
    for (const { link } of core.sessions.values())
      link.send({ kind: 'finished', body: { code: this.failure?.code ?? '' } });
    await this.parts.delivery.stop();
    const settledWei = await closeChannels(this.context, this.jobId, this.stopping.signal);
    if (this.stopping.signal.aborted) return;
    const moved = ledger.moveJob(this.jobId, 'finishing', 'finished', this.failure?.code ?? '');
    if (moved.ok) this.state = 'finished';
    const summary = this.summary(settledWei, (clock.now() - this.startedAt) / 1000);
    core.emit({ type: 'job.finished', summary });
    this.resolveDone(this.failure === undefined ? ok(summary) : err(this.failure));
  }

  private summary(settledWei: bigint, seconds: number): JobSummary {
    const row = this.context.ledger.job(this.jobId);
    const { agreed = 0, checked = 0, trusted = 0, failed = 0, refused = 0 } = row ?? {};
    const verified = agreed + checked + trusted;
    const paidWei = this.parts.core.paymaster.paidWei.toString();
    return {
      shards: verified + failed,
      verified,
      agreed,
      checked,
      trusted,
      failed,
      refused,
      paidWei,
      settledWei: settledWei.toString(),
      seconds,
    };
  }

  private status(): JobStatus {
    const { core } = this.parts;
    const row = this.context.ledger.job(this.jobId);
    return {
      state: core.halted === undefined ? this.state : 'paused',
      verified: (row?.agreed ?? 0) + (row?.checked ?? 0) + (row?.trusted ?? 0),
      failed: row?.failed ?? 0,
      refused: row?.refused ?? 0,
      inTheAir: core.board.shards.size,
      peers: core.sessions.size,
      paidWei: wei(core.paymaster.paidWei),
    };
  }

  /** The ledger refused a step: what memory believes is worth nothing now. Everybody is sent home, and it is read again. */
  private halt(error: LedgerError): void {
    this.context.logger.error({ code: error.code, ...error.data }, error.message);
    this.parts.core.emit({ type: 'job.paused', error });
    this.disband();
    void this.reload();
  }

  private disband(): void {
    this.parts.over.abort();
    const reason = appError('work.interrupted', 'The requester has to pause.');
    for (const { link } of this.parts.core.sessions.values()) link.abort(reason);
  }

  private async reload(): Promise<void> {
    const { clock, ledger, logger } = this.context;
    while (!this.stopping.signal.aborted) {
      await clock.sleep(RELOAD_MS, this.stopping.signal);
      await this.parts.delivery.stop();
      await this.parts.granter.idle();
      await this.parts.referee.stopped();
      if (this.stopping.signal.aborted) return;
      const row = ledger.job(this.jobId);
      // A write that changes nothing shows whether there is room again.
      const writable = ledger.apply(this.jobId, { nextDelivery: row?.nextDelivery ?? 0 });
      if (row !== undefined && writable.ok) {
        this.parts = this.assemble(row);
        this.parts.core.emit({ type: 'job.resumed' });
        this.resumeParts();
        return;
      }
      logger.warn({ jobId: this.jobId }, 'the ledger still cannot be written');
    }
  }
}

function textOf(fault: unknown): string {
  return fault instanceof Error ? fault.message : String(fault);
}
