import type { ChainError, Settlement } from '#core/chain/port.ts';
import type { LedgerError } from '#core/ledger/errors.ts';
import type { ProviderChannel, Unsettled } from '#core/ledger/provider-money.ts';
import { err, ok, type Result } from '#shared/result.ts';
import { wei, type Hex } from '#shared/units.ts';
import type { ProviderContext } from './context.ts';
import { decideSettlement } from './policy/settlement-policy.ts';

export type SettleError = ChainError | LedgerError;

const MINUTE_MS = 60_000;
/** How often channels are looked at for a payer's notice to close. Far below the shortest notice allowed. */
const WATCH_MS = 10 * MINUTE_MS;

/**
 * Turns vouchers into tokens when the policy says so, and watches channels for payers who want out. A crash between the
 * transaction and its row is healed from the chain, which never pays a voucher twice.
 */
export class Settler {
  private readonly context: ProviderContext;
  private readonly stopping = new AbortController();
  private turn: Promise<unknown> = Promise.resolve();
  private loop: Promise<void> | undefined;
  private wake = new AbortController();

  constructor(context: ProviderContext) {
    this.context = context;
  }

  start(): void {
    this.loop ??= this.run();
  }

  /** Something changed: a voucher came in. */
  poke(): void {
    this.wake.abort();
  }

  /** Settles everything there is, whatever the policy says. */
  settleNow(reason = 'asked'): Promise<Result<readonly Settlement[], SettleError>> {
    return this.exclusively(() => this.settle(this.context.ledger.money.unsettled(), reason));
  }

  /** Settles what is left in a channel and gives the rest of its deposit back to the payer. */
  closeChannel(channelId: Hex): Promise<Result<void, SettleError>> {
    return this.exclusively(() => this.close(channelId));
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    this.wake.abort();
    await this.loop;
    await this.turn;
  }

  private async run(): Promise<void> {
    const { clock } = this.context;
    const { signal } = this.stopping;
    let watchAt = clock.now();
    while (!signal.aborted) {
      this.wake = new AbortController();
      if (clock.now() >= watchAt) {
        await this.exclusively(() => this.watch());
        watchAt = clock.now() + WATCH_MS;
      }
      const lookAgainAt = await this.exclusively(() => this.settleDue());
      if (signal.aborted) return;
      const ms = Math.max(1000, Math.min(lookAgainAt, watchAt) - clock.now());
      await clock.sleep(Math.min(ms, WATCH_MS), AbortSignal.any([signal, this.wake.signal]));
    }
  }

  /** Answers when to look again (Unix milliseconds). */
  private async settleDue(): Promise<number> {
    const { ledger, settings, clock } = this.context;
    const now = clock.now();
    let lookAgainAt = now + WATCH_MS;
    const due: Unsettled[] = [];
    let reason = '';
    for (const entry of ledger.money.unsettled()) {
      const facts = { ...entry, voucherExpiresAt: entry.voucher.expiresAt, closeAt: entry.channel.closeAt };
      const decision = decideSettlement(facts, settings.settlement, now);
      if (decision.reason === undefined) lookAgainAt = Math.min(lookAgainAt, decision.lookAgainAt);
      else {
        due.push(entry);
        reason = decision.reason;
      }
    }
    if (due.length === 0) return lookAgainAt;
    const settled = await this.settle(due, reason);
    return settled.ok ? lookAgainAt : now + MINUTE_MS;
  }

  private async settle(due: readonly Unsettled[], reason: string): Promise<Result<readonly Settlement[], SettleError>> {
    if (due.length === 0) return ok([]);
    const { chain } = this.context;
    const settled = await chain.channels.settle(due.map(({ voucher }) => voucher));
    if (!settled.ok) return this.failed(settled.error);
    const recorded = this.record(settled.value, reason);
    if (!recorded.ok) return recorded;
    const seen = new Set(settled.value.map(({ channelId }) => channelId));
    // Not among the receipts: an earlier run settled it and died before it wrote the row.
    for (const { channel } of due) if (!seen.has(channel.channelId)) await this.heal(channel);
    return settled;
  }

  private record(settlements: readonly Settlement[], reason: string): Result<void, SettleError> {
    const { ledger, clock, emit } = this.context;
    const recorded = ledger.money.recordSettlements(settlements, clock.now());
    if (!recorded.ok) return this.failed(recorded.error);
    for (const { channelId, paidWei, cumulativeWei, transactionHash } of settlements) {
      emit({
        type: 'settlement.done',
        channelId,
        paidWei: paidWei.toString(),
        cumulativeWei: cumulativeWei.toString(),
        transactionHash,
        reason,
      });
    }
    return ok();
  }

  /** Writes what the chain says was settled and this ledger does not know. */
  private async heal(channel: ProviderChannel): Promise<Result<void, SettleError>> {
    const found = await this.context.chain.channels.get(channel.channelId);
    if (!found.ok) return this.failed(found.error);
    const { settledWei } = found.value;
    if (settledWei > channel.settledWei) {
      const settlement: Settlement = {
        channelId: channel.channelId,
        // The receipt died with the process; the chain's word on the amount is enough.
        transactionHash: '' as Hex,
        blockNumber: 0,
        paidWei: wei(settledWei - channel.settledWei),
        cumulativeWei: settledWei,
      };
      const recorded = this.record([settlement], 'found_on_chain');
      if (!recorded.ok) return recorded;
    }
    if (found.value.closed === true) return this.markClosed(channel.channelId);
    return this.context.ledger.money.saveChannel(found.value, channel.requester, this.context.clock.now());
  }

  private async close(channelId: Hex): Promise<Result<void, SettleError>> {
    const { ledger, chain } = this.context;
    const channel = ledger.money.channel(channelId);
    if (channel === undefined || channel.state === 'closed') return ok();
    const moved = ledger.money.moveChannel(channel, 'closing');
    if (!moved.ok) return this.failed(moved.error);
    const closed = await chain.channels.close(channelId, ledger.money.newestVoucher(channelId));
    if (!closed.ok) return this.failed(closed.error);
    if (closed.value !== undefined) {
      const recorded = this.record([closed.value], 'close');
      if (!recorded.ok) return recorded;
    }
    return this.heal({ ...channel, ...(closed.value === undefined ? {} : { settledWei: closed.value.cumulativeWei }) });
  }

  private markClosed(channelId: Hex): Result<void, SettleError> {
    const { ledger, emit } = this.context;
    const channel = ledger.money.channel(channelId);
    if (channel === undefined || channel.state === 'closed') return ok();
    const moved = ledger.money.moveChannel(channel, 'closed');
    if (!moved.ok) return this.failed(moved.error);
    emit({ type: 'channel.closed', channelId, settledWei: channel.settledWei.toString() });
    return ok();
  }

  /** Takes up what a crash left half done and notices payers who asked to close, also while this program was off. */
  private async watch(): Promise<void> {
    for (const channel of this.context.ledger.money.channels()) {
      if (this.stopping.signal.aborted) return;
      const looked = channel.state === 'closing' ? await this.close(channel.channelId) : await this.heal(channel);
      if (!looked.ok) return;
    }
  }

  private failed(error: SettleError): Result<never, SettleError> {
    this.context.logger.warn({ code: error.code, ...error.data }, 'settling failed; it is tried again');
    this.context.emit({ type: 'settlement.failed', error });
    return err(error);
  }

  /** One at a time: two transactions over the same vouchers would only cost gas. */
  private exclusively<T>(work: () => Promise<T>): Promise<T> {
    const next = this.turn.then(work);
    this.turn = next.catch(() => undefined);
    return next;
  }
}
