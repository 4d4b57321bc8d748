import type { ModelSource } from '#core/compute/port.ts';
import type { LedgerError } from '#core/ledger/errors.ts';
import type { LeaseRow, StoredResult } from '#core/ledger/provider-leases.ts';
import { appError, type AppError } from '#shared/errors.ts';
import { isFinal } from '#shared/model/job-states.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import { doneStatement, type BodyOf, type LeaseId, type WorkMessage } from '#shared/protocol/work-messages.ts';
import { encode } from '#shared/protocol/work-wire.ts';
import type { ProviderContext } from './context.ts';
import { receiveLease } from './lease-intake.ts';
import { LeaseWorker, type HeldLease } from './lease-worker.ts';
import type { PayDesk, PayError } from './pay-desk.ts';
import type { OfferEntry } from './policy/choose-offer.ts';
import { leaseSize } from './policy/lease-sizing.ts';
import { packResults } from './wire/results.ts';
import type { WorkLink } from './wire/work-link.ts';

/** How an engagement ended, and when it is worth trying again. */
export interface EngagementEnd {
  readonly outcome: 'finished' | 'refused' | 'broken' | 'left' | 'paused';
  readonly error?: AppError;
  /** Milliseconds to wait before this offer is looked at again; absent: the caller's own back-off. */
  readonly retryAfterMs?: number;
  /** The requester did wrong, and was reported. */
  readonly accused?: true;
}

/**
 * Sealed statements are checked on arrival; what they say has its own times. So their own life is short: the other side
 * remembers each for as long as it could be replayed, and remembers only so many.
 */
const SEAL_MS = 5000;
/** A deposit that does not suffice is looked at again after this time. */
const REFRESH_MS = 500;
/** Wants follow each other no faster than this, after a few at once. */
const LEASE_EVERY_MS = 60;
const LEASE_BURST = 8;
/** Leases ahead for which the deposit should suffice. */
const AHEAD = 4;

/**
 * One conversation with a requester after its welcome: asks for leases, has them computed, sends results, takes
 * verdicts and pay. All that counts is in the ledger before it is acted on, so it can break off anywhere.
 */
export class Engagement {
  private readonly context: ProviderContext;
  private readonly entry: OfferEntry;
  private readonly link: WorkLink;
  private readonly desk: PayDesk;
  private readonly welcome: BodyOf<'welcome'>;
  private readonly worker: LeaseWorker;
  private readonly over = new AbortController();
  /** Wants on their way, oldest first: each is answered by one lease or one Wait. */
  private readonly wanted: number[] = [];
  private previousSize = 0;
  /** Sent back and not judged. */
  private pending = 0;
  private resting = false;
  private refreshing = false;
  private pacing = false;
  private nextAskAt = 0;
  private leaving = false;
  private end: EngagementEnd | undefined;

  constructor(
    context: ProviderContext,
    parts: {
      readonly entry: OfferEntry;
      readonly link: WorkLink;
      readonly desk: PayDesk;
      readonly welcome: BodyOf<'welcome'>;
      readonly model: ModelSource;
    },
  ) {
    this.context = context;
    this.entry = parts.entry;
    this.link = parts.link;
    this.desk = parts.desk;
    this.welcome = parts.welcome;
    this.worker = new LeaseWorker(context, parts.model, {
      onComputed: (lease, results) => this.submit(lease.row, results),
      onLedgerError: (error) => this.pause(error),
    });
  }

  /** Works until the requester has no more for us, the conversation breaks, or `leave` is called. */
  async run(resumed: readonly LeaseRow[]): Promise<EngagementEnd> {
    for (const lease of resumed) this.resubmit(lease);
    this.ask();
    while (this.end === undefined) {
      const received = await this.link.next(LIMITS.work.silenceMs);
      if (this.end !== undefined) break;
      if (!received.ok) this.finish({ outcome: 'broken', error: received.error });
      else if (received.value === undefined) this.finish({ outcome: this.leaving ? 'left' : 'broken' });
      else await this.handle(received.value);
    }
    return this.wrapUp(this.end);
  }

  /** Asks for no more, finishes what has begun, and leaves once it is judged and paid or patience ends. */
  async leave(patienceMs: number): Promise<void> {
    if (this.end !== undefined || this.leaving) return;
    this.leaving = true;
    const returned = await this.worker.drain();
    this.giveBack(returned);
    this.leaveWhenPaid();
    await this.context.clock.sleep(patienceMs, this.over.signal);
    this.finish({ outcome: 'left' });
  }

  /** Stops at once; the ledger is whole at any moment. */
  async abandon(): Promise<void> {
    await this.worker.abort();
    this.finish({ outcome: 'left' });
  }

  private async handle(message: WorkMessage): Promise<void> {
    switch (message.kind) {
      case 'lease':
        return this.takeLease(message.body.sealed);
      case 'wait':
        // It answers the oldest want, as a lease would.
        this.wanted.shift();
        return this.rest(message.body.retryAfterMs);
      case 'verdicts':
        return this.takeVerdicts(message.body);
      case 'pay':
        return this.takePay(message.body);
      case 'refuse': {
        const { code, message: text, retryAfterMs } = message.body;
        this.finish({ outcome: 'refused', error: appError(code, text), retryAfterMs });
        return undefined;
      }
      case 'finished':
        this.finish({ outcome: 'finished' });
        return undefined;
      case 'welcome':
      case 'join':
      case 'want':
      case 'results':
      case 'leaseDone':
      case 'voucherAck':
      case 'leave':
        return this.accuse(
          'invalid_message',
          appError('work.message_invalid', `A ${message.kind} message came out of turn.`),
        );
    }
  }

  private async takeLease(sealed: Uint8Array): Promise<void> {
    const { context, entry } = this;
    const asked = this.wanted.shift();
    if (asked === undefined)
      return this.accuse('too_much', appError('work.lease_invalid', 'A lease came that nobody asked for.'));
    const received = await receiveLease(context, this.link, sealed, { ...entry, maxShards: asked });
    if (!received.ok) {
      const { code } = received.error;
      if (code.startsWith('network.')) return this.finish({ outcome: 'broken', error: received.error });
      return this.accuse(code === 'work.input_altered' ? 'wrong_bytes' : 'invalid_message', received.error);
    }
    const { statement, signed, digest, inputs, bytes } = received.value;
    const lease = {
      leaseId: statement.leaseId,
      offerId: entry.offer.offerId,
      requester: entry.requester,
      channelId: this.desk.channelId,
      priceWei: this.welcome.priceWei,
      shards: inputs.length,
      statementDigest: digest,
      expiresAt: statement.expiresAt,
    };
    if (context.ledger.leases.lease(lease.leaseId) !== undefined) {
      return this.accuse('invalid_message', appError('work.lease_invalid', 'A lease came twice.'));
    }
    const granted = context.ledger.leases.grant({ ...lease, statement: signed }, context.clock.now());
    if (!granted.ok) return this.pause(granted.error);
    context.emit({
      type: 'lease.received',
      leaseId: lease.leaseId,
      peerId: entry.requester,
      shards: inputs.length,
      bytes,
    });
    const held: HeldLease = { row: { ...lease, state: 'granted', accepted: 0, refused: 0 }, statement, inputs };
    if (this.leaving) return this.giveBack([held.row]);
    this.worker.add(held);
    this.ask();
    return undefined;
  }

  /** Keeps two leases in flight, within the credit. */
  private ask(): void {
    if (this.leaving || this.resting || this.end !== undefined) return;
    while (this.worker.leasesHeld + this.wanted.length < LIMITS.work.leasesInFlight) {
      if (this.askedTooSoon()) return;
      const asked = this.wanted.reduce((sum, shards) => sum + shards, 0);
      const room = this.desk.room(this.worker.leasedShards + asked, this.pending);
      this.watchDeposit(this.previousSize);
      if (room < 1) return;
      const size = leaseSize({
        shardMs: this.worker.shardMs,
        targetMs: this.context.settings.leaseTargetMs,
        previous: this.previousSize,
        max: Math.min(this.welcome.maxShardsPerLease, LIMITS.shard.perLeaseCount, room),
      });
      this.previousSize = size;
      this.nextAskAt =
        Math.max(this.nextAskAt, this.context.clock.now() - LEASE_BURST * LEASE_EVERY_MS) + LEASE_EVERY_MS;
      this.wanted.push(size);
      this.link.send({ kind: 'want', body: { maxShards: size } });
    }
  }

  /**
   * Both sides remember a signed statement for each lease, and only so many: tiny shards come in large leases, not in a
   * flood of small ones. A few may follow each other closely, as at the beginning.
   */
  private askedTooSoon(): boolean {
    const { clock } = this.context;
    const waitMs = this.nextAskAt - clock.now();
    if (waitMs > 0 && !this.pacing) {
      this.pacing = true;
      void clock.sleep(waitMs, this.over.signal).then(() => {
        this.pacing = false;
        this.ask();
      });
    }
    return waitMs > 0;
  }

  /** The requester tops its channel up as it runs low: only the chain says when. Looked up before the deposit is used up. */
  private watchDeposit(wanted: number): void {
    const { clock } = this.context;
    if (this.refreshing || !this.desk.runsLow(this.worker.leasedShards + this.pending + wanted * AHEAD)) return;
    this.refreshing = true;
    void this.desk.refresh().then(async (refreshed) => {
      if (refreshed.ok && refreshed.value.closeAt !== undefined) {
        this.finish({
          outcome: 'refused',
          error: appError('channel.closing', 'The requester is closing its payment channel.'),
        });
      } else if (refreshed.ok) this.ask();
      await clock.sleep(REFRESH_MS, this.over.signal);
      this.refreshing = false;
      this.ask();
    });
  }

  private rest(ms: number): void {
    if (this.resting) return;
    this.resting = true;
    void this.context.clock.sleep(Math.max(50, ms), this.over.signal).then(() => {
      this.resting = false;
      this.ask();
    });
  }

  /** The ledger knows it is submitted before the requester sees a byte of it. */
  private submit(row: LeaseRow, results: readonly StoredResult[]): void {
    const moved = this.context.ledger.leases.move([{ ...row, state: 'computed' }], 'submitted');
    if (!moved.ok) return this.pause(moved.error);
    this.pending += results.length;
    this.sendResults(row, results);
    this.ask();
    return undefined;
  }

  private resubmit(row: LeaseRow): void {
    const { leases } = this.context.ledger;
    const waiting = leases.waitingResults(row.leaseId);
    if (row.state === 'computed' || row.state === 'submitted') {
      const moved = leases.move([row], 'submitted');
      if (!moved.ok) return this.pause(moved.error);
    }
    this.pending += waiting.length;
    this.sendResults(row, waiting);
    return undefined;
  }

  private sendResults(row: LeaseRow, results: readonly StoredResult[]): void {
    for (const { message, payload } of packResults(row.leaseId, results)) this.link.send(message, payload);
    void this.sealDone(row);
  }

  private async sealDone(row: LeaseRow): Promise<void> {
    const { leaseId, offerId, statementDigest } = row;
    const outputs = this.context.ledger.leases.digests(leaseId);
    const statement = encode(doneStatement, { offerId, leaseId, leaseDigest: statementDigest, outputs });
    const sealed = await this.context.network.seal('lease-done', statement, SEAL_MS);
    this.link.send({ kind: 'leaseDone', body: { leaseId, sealed } });
  }

  private takeVerdicts({ leaseId, items }: BodyOf<'verdicts'>): void {
    const { ledger, clock, emit } = this.context;
    const lease = ledger.leases.lease(leaseId);
    if (lease?.offerId !== this.entry.offer.offerId || isFinal('lease', lease.state)) return;
    if (lease.state !== 'submitted' && lease.state !== 'judged') {
      this.accuse('invalid_message', appError('work.message_invalid', 'A verdict came before the result.'));
      return;
    }
    const judged = ledger.leases.judge(leaseId, items, clock.now());
    if (!judged.ok) {
      this.pause(judged.error);
      return;
    }
    if (judged.value === undefined) return;
    this.pending = Math.max(0, this.pending - judged.value.accepted - judged.value.refused);
    this.desk.reload();
    for (const { index, outcome, code } of items) {
      const event = { leaseId, peerId: this.entry.requester, shard: index };
      if (outcome === 'accepted') emit({ type: 'shard.accepted', ...event });
      else emit({ type: 'shard.refused', ...event, code });
    }
    this.ask();
    this.leaveWhenPaid();
  }

  private async takePay({ voucher }: BodyOf<'pay'>): Promise<void> {
    const accepted = await this.desk.accept(voucher);
    if (!accepted.ok) return this.payFailed(accepted.error);
    this.link.send({ kind: 'voucherAck', body: { cumulativeWei: voucher.cumulativeWei } });
    this.ask();
    this.leaveWhenPaid();
    return undefined;
  }

  private payFailed(error: PayError): void {
    if (error.code.startsWith('voucher.')) this.accuse('bad_voucher', error);
    else if (error.code.startsWith('ledger.')) this.pause(error as LedgerError);
    // The chain is away: without it this voucher cannot be judged. The requester sends it again when we join again.
    else this.finish({ outcome: 'broken', error });
  }

  private leaveWhenPaid(): void {
    if (!this.leaving || this.end !== undefined || this.worker.leasesHeld > 0 || this.pending > 0) return;
    if (this.context.ledger.leases.open(this.entry.offer.offerId).length === 0) this.finish({ outcome: 'left' });
  }

  private giveBack(rows: readonly LeaseRow[]): void {
    if (rows.length === 0) return;
    const dropped = this.context.ledger.leases.drop(rows, 'returned');
    if (!dropped.ok) this.pause(dropped.error);
  }

  /** The requester broke the protocol: it is charged, and left alone for a while. */
  private accuse(misdeed: 'invalid_message' | 'wrong_bytes' | 'bad_voucher' | 'too_much', error: AppError): void {
    this.context.network.report(this.entry.requester, misdeed);
    this.finish({ outcome: 'refused', error, accused: true });
  }

  private pause(error: LedgerError): void {
    this.finish({ outcome: 'paused', error });
  }

  private finish(end: EngagementEnd): void {
    if (this.end !== undefined) return;
    this.end = end;
    this.over.abort();
    if (end.outcome === 'left') this.link.send({ kind: 'leave', body: { code: '' } });
    if (end.outcome === 'broken' || end.outcome === 'paused' || end.accused === true) {
      this.link.abort(end.error ?? appError('work.over', 'The conversation is over.'));
    } else void this.link.close();
  }

  /** What has begun is computed to its end and kept for the next conversation; the rest is given back. */
  private async wrapUp(end: EngagementEnd): Promise<EngagementEnd> {
    if (end.outcome === 'paused') {
      await this.worker.abort();
      return end;
    }
    this.giveBack(await this.worker.drain());
    return this.end ?? end;
  }
}

/** Leases whose results wait, which a join announces; those not computed are given back. */
export function resumable(
  context: ProviderContext,
  rows: readonly LeaseRow[],
): { readonly resumed: readonly LeaseRow[]; readonly returned: readonly LeaseRow[]; readonly ids: readonly LeaseId[] } {
  const returned = rows.filter(({ state }) => state === 'granted' || state === 'running');
  const resumed = rows
    .filter(({ state }) => state === 'computed' || state === 'submitted' || state === 'judged')
    .filter(({ leaseId }) => context.ledger.leases.waitingResults(leaseId).length > 0)
    .slice(0, LIMITS.work.resumedLeases);
  return { resumed, returned, ids: resumed.map(({ leaseId }) => leaseId) };
}
