import { createHash } from 'node:crypto';
import type { ChainError, Voucher } from '#core/chain/port.ts';
import type { LedgerError } from '#core/ledger/errors.ts';
import type { PayerChannel } from '#core/ledger/requester-channels.ts';
import type { JobTerms } from '#core/ledger/requester-jobs.ts';
import { appError, type AppError } from '#shared/errors.ts';
import { err, ok, type Result } from '#shared/result.ts';
import { sameAddress, wei, type Address, type Hex, type PeerIdText, type Wei } from '#shared/units.ts';
import type { RequesterContext } from './context.ts';
import { isRunningLow, nextDeposit } from './policy/deposit.ts';

/** What one provider has earned and might still earn from this job. */
export interface PeerAccount {
  readonly peer: PeerIdText;
  channel: PayerChannel;
  /** Leased and not answered; answered and not ruled. Each may come to cost the price of a shard. */
  leased: number;
  pending: number;
  /** Accepted and not paid, by shard. */
  readonly due: Set<number>;
  toppingUp: boolean;
}

export type PayeeError = AppError<
  'work.identity_unknown' | 'work.payee_mismatch' | 'work.channel_over' | 'work.budget_exhausted' | 'work.stopped'
>;

/** Channels and budget of one job: no lease is granted that could not be paid for. */
export class Paymaster {
  readonly accounts = new Map<PeerIdText, PeerAccount>();
  private readonly context: RequesterContext;
  private readonly jobId: string;
  private readonly offerId: string;
  private readonly terms: JobTerms;
  private opening = new Map<PeerIdText, Promise<Result<PeerAccount, PayeeError | ChainError | LedgerError>>>();

  constructor(
    context: RequesterContext,
    job: { readonly jobId: string; readonly offerId: string; readonly terms: JobTerms },
  ) {
    this.context = context;
    this.jobId = job.jobId;
    this.offerId = job.offerId;
    this.terms = job.terms;
    for (const channel of context.ledger.channels.ofJob(job.jobId)) {
      if (channel.channelId !== undefined) this.accounts.set(channel.peer, account(channel));
    }
  }

  /** Promised by vouchers so far. */
  get paidWei(): Wei {
    let sum = 0n;
    for (const { channel } of this.accounts.values()) sum += channel.cumulativeWei;
    return wei(sum);
  }

  /** Shards that this peer may be given: its channel can pay them all, and so can the budget. */
  room(peer: PeerAccount): number {
    const { priceWei, budgetWei } = this.terms;
    if (peer.channel.state !== 'open') return 0;
    if (priceWei === 0n) return 1_000_000;
    const inChannel = peer.channel.depositWei - this.spokenFor(peer);
    let spoken = 0n;
    for (const each of this.accounts.values()) spoken += this.spokenFor(each);
    const inBudget = budgetWei - spoken;
    const least = inChannel < inBudget ? inChannel : inBudget;
    return least <= 0n ? 0 : Number(least / priceWei);
  }

  /** The peer's account with an open channel: found, taken up after a crash, or opened now. */
  open(peer: PeerIdText, payee: Address): Promise<Result<PeerAccount, PayeeError | ChainError | LedgerError>> {
    const running = this.opening.get(peer);
    if (running !== undefined) return running;
    const opening = this.openOnce(peer, payee).finally(() => this.opening.delete(peer));
    this.opening.set(peer, opening);
    return opening;
  }

  /** Puts more into a channel that is four fifths used; does nothing while one top-up is under way or the budget is spent. */
  async topUp(peer: PeerAccount): Promise<Result<void, ChainError | LedgerError>> {
    const { channel } = peer;
    if (peer.toppingUp || channel.state !== 'open' || channel.channelId === undefined) return ok();
    if (!isRunningLow(channel.depositWei, wei(this.spokenFor(peer)))) return ok();
    const amountWei = nextDeposit({ ...this.terms, depositedWei: this.depositedWei() });
    if (amountWei === undefined) return ok();
    peer.toppingUp = true;
    const topped = await this.context.chain.channels.topUp(channel.channelId, amountWei);
    peer.toppingUp = false;
    if (this.context.stopping.aborted) return ok();
    if (!topped.ok) return topped;
    const stored = this.context.ledger.channels.setDeposit(channel.reference, topped.value.depositWei);
    if (!stored.ok) return stored;
    peer.channel = { ...peer.channel, depositWei: topped.value.depositWei };
    this.context.emit({
      ...this.stamp(),
      type: 'channel.toppedUp',
      peerId: peer.peer,
      channelId: channel.channelId,
      depositWei: topped.value.depositWei.toString(),
    });
    return ok();
  }

  /** True where neither this channel nor the budget has anything left to lease for. */
  isSpent(peer: PeerAccount): boolean {
    return (
      this.room(peer) < 1 &&
      !peer.toppingUp &&
      nextDeposit({ ...this.terms, depositedWei: this.depositedWei() }) === undefined
    );
  }

  get budgetIsDeposited(): boolean {
    return nextDeposit({ ...this.terms, depositedWei: this.depositedWei() }) === undefined;
  }

  /** The next voucher for this many more shards; signed, not yet stored. */
  voucher(peer: PeerAccount, shards: number): Voucher {
    const { chain, signer, clock, settings } = this.context;
    const { channelId, cumulativeWei, depositWei } = peer.channel;
    const next = wei(cumulativeWei + BigInt(shards) * this.terms.priceWei);
    if (channelId === undefined || next > depositWei) throw new Error('more was accepted than the channel can pay');
    const expiresAt = Math.floor(clock.now() / 1000) + settings.voucherSeconds;
    return chain.vouchers.sign({ channelId, cumulativeWei: next, expiresAt }, signer.privateKey);
  }

  paid(peer: PeerAccount, voucher: Voucher): void {
    peer.channel = { ...peer.channel, cumulativeWei: voucher.cumulativeWei, voucher };
  }

  /** A voucher of ours that this ledger does not remember: adopted, so that the next one is worth more. */
  adopt(peer: PeerAccount, voucher: Voucher): Result<void, LedgerError> {
    const { chain, ledger, signer } = this.context;
    const { channel } = peer;
    const isOurs =
      voucher.channelId === channel.channelId &&
      voucher.cumulativeWei > channel.cumulativeWei &&
      voucher.cumulativeWei <= channel.depositWei &&
      sameAddress(chain.vouchers.recover(voucher) ?? '0x', signer.address);
    if (!isOurs) return ok();
    const stored = ledger.channels.adopt(channel.reference, voucher);
    if (stored.ok) this.paid(peer, voucher);
    return stored;
  }

  /** After a restart: the chain knows of top-ups whose rows were lost. */
  async refresh(): Promise<void> {
    const { chain, ledger } = this.context;
    for (const each of this.accounts.values()) {
      const { channelId, reference, state, depositWei } = each.channel;
      if (channelId === undefined || state !== 'open') continue;
      const found = await chain.channels.get(channelId);
      if (this.context.stopping.aborted) return;
      if (!found.ok || found.value.closed === true || found.value.depositWei === depositWei) continue;
      const stored = ledger.channels.setDeposit(reference, found.value.depositWei);
      if (stored.ok) each.channel = { ...each.channel, depositWei: found.value.depositWei };
    }
  }

  private async openOnce(
    peer: PeerIdText,
    payee: Address,
  ): Promise<Result<PeerAccount, PayeeError | ChainError | LedgerError>> {
    const { chain, ledger, signer, settings } = this.context;
    const agent = await chain.identities.byPeer(peer);
    if (this.context.stopping.aborted) return err(stopped());
    if (!agent.ok) return agent;
    if (agent.value === undefined) return err(unknownIdentity());
    if (!sameAddress(agent.value.wallet, payee)) return err(otherPayee());
    const known = this.accounts.get(peer);
    if (known !== undefined) return known.channel.state === 'open' ? ok(known) : err(channelOver());
    const reference = referenceOf(this.offerId, peer);
    const before = ledger.channels.get(reference);
    const depositWei = before?.depositWei ?? nextDeposit({ ...this.terms, depositedWei: this.depositedWei() });
    if (depositWei === undefined) return err(budgetExhausted());
    if (before === undefined) {
      const reserved = ledger.channels.reserve({
        reference,
        jobId: this.jobId,
        peer,
        payee,
        agentId: agent.value.agentId,
        depositWei,
      });
      if (!reserved.ok) return reserved;
    }
    const opened = await chain.channels.open({
      payee,
      signer: signer.address,
      depositWei,
      challengeSeconds: settings.challengeSeconds,
      reference,
    });
    if (this.context.stopping.aborted) return err(stopped());
    if (!opened.ok) return opened;
    if (opened.value.closed === true) return err(channelOver());
    const stored = ledger.channels.opened(reference, opened.value);
    if (!stored.ok) return stored;
    const channel = ledger.channels.get(reference);
    if (channel === undefined) throw new Error('a channel just opened is not there');
    const { channelId } = opened.value;
    this.context.emit({
      ...this.stamp(),
      type: 'channel.opened',
      peerId: peer,
      channelId,
      depositWei: depositWei.toString(),
    });
    const fresh = account(channel);
    this.accounts.set(peer, fresh);
    return ok(fresh);
  }

  private spokenFor(peer: PeerAccount): bigint {
    return peer.channel.cumulativeWei + BigInt(peer.leased + peer.pending + peer.due.size) * this.terms.priceWei;
  }

  /** Deposits of this job, those being opened included: the ledger knows them all. */
  private depositedWei(): Wei {
    return wei(this.context.ledger.channels.ofJob(this.jobId).reduce((sum, { depositWei }) => sum + depositWei, 0n));
  }

  private stamp(): { readonly at: number; readonly jobId: string } {
    return { at: this.context.clock.now(), jobId: this.jobId };
  }
}

function account(channel: PayerChannel): PeerAccount {
  return { peer: channel.peer, channel, leased: 0, pending: 0, due: new Set(), toppingUp: false };
}

/** Names the one channel of an offer and a provider, whatever crashes in between. */
export function referenceOf(offerId: string, peer: PeerIdText): Hex {
  return `0x${createHash('sha256').update(`hearth-channel\n${offerId}\n${peer}`).digest('hex')}`;
}

function stopped(): PayeeError {
  return appError('work.stopped', 'The requester is stopping.');
}

function unknownIdentity(): PayeeError {
  return appError('work.identity_unknown', 'This node is not registered on the chain, so it cannot be paid.', {
    remedy: 'Register the node’s identity, then join again.',
  });
}

function otherPayee(): PayeeError {
  return appError('work.payee_mismatch', 'The address to be paid is not the wallet that is registered for this node.', {
    remedy: 'Use the registered wallet, or register this one.',
  });
}

function channelOver(): PayeeError {
  return appError('work.channel_over', 'The payment channel for this node and this job has been closed.');
}

function budgetExhausted(): PayeeError {
  return appError('work.budget_exhausted', 'The job’s budget is spoken for, so no further node can be taken on.', {
    remedy: 'Submit the job with a larger budget.',
  });
}
