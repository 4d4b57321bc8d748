import type { Channel, ChainError, Voucher, VoucherError } from '#core/chain/port.ts';
import type { LedgerError } from '#core/ledger/errors.ts';
import type { ProviderChannel } from '#core/ledger/provider-money.ts';
import { err, ok, type Result } from '#shared/result.ts';
import { wei, type Hex, type PeerIdText, type Wei } from '#shared/units.ts';
import type { ProviderContext } from './context.ts';
import { channelFault, type ChannelFault } from './policy/channel-check.ts';
import { creditRoom } from './policy/credit.ts';
import { voucherFault } from './policy/voucher-check.ts';

export type PayError = ChainError | LedgerError | ChannelFault | VoucherError;

/** A channel must hold this many shards' pay before work begins. */
const MIN_SHARDS_LEFT = 1n;

/** Pay for one engagement: is the channel good, what is owed, is this voucher worth the work it is for? */
export class PayDesk {
  readonly channelId: Hex;
  private readonly context: ProviderContext;
  private readonly requester: PeerIdText;
  private readonly priceWei: Wei;
  private channel: ProviderChannel;
  private held: Voucher | undefined;

  private constructor(context: ProviderContext, requester: PeerIdText, priceWei: Wei, channel: ProviderChannel) {
    this.context = context;
    this.requester = requester;
    this.priceWei = priceWei;
    this.channel = channel;
    this.channelId = channel.channelId;
    this.held = context.ledger.money.newestVoucher(channel.channelId);
  }

  /** Looks the channel up on chain, judges it, and records it. */
  static async open(
    context: ProviderContext,
    terms: { readonly channelId: Hex; readonly requester: PeerIdText; readonly priceWei: Wei },
  ): Promise<Result<PayDesk, PayError>> {
    const { chain, ledger, settings, clock } = context;
    const found = await chain.channels.get(terms.channelId);
    if (!found.ok) return found;
    const heldWei = ledger.money.newestVoucher(terms.channelId)?.cumulativeWei ?? wei(0n);
    const fault = channelFault(found.value, {
      payee: chain.address,
      minChallengeSeconds: settings.minChallengeSeconds,
      minLeftWei: wei(MIN_SHARDS_LEFT * terms.priceWei),
      heldWei,
    });
    // Work already done may be waiting for its voucher, so a channel that is merely used up is good enough to talk over.
    if (
      fault !== undefined &&
      !(fault.code === 'channel.too_little' && ledger.money.channel(terms.channelId) !== undefined)
    ) {
      return err(fault);
    }
    const saved = ledger.money.saveChannel(found.value, terms.requester, clock.now());
    if (!saved.ok) return saved;
    const channel = ledger.money.channel(terms.channelId);
    if (channel === undefined) throw new Error('a channel just saved is not there');
    return ok(new PayDesk(context, terms.requester, terms.priceWei, channel));
  }

  get heldWei(): Wei {
    return this.held?.cumulativeWei ?? this.channel.settledWei;
  }

  /** Shards that may still be asked for. */
  room(leased: number, pending: number): number {
    const { creditShards, creditWei } = this.context.settings;
    const { impliedWei } = this.channel;
    const owed = impliedWei > this.heldWei ? impliedWei - this.heldWei : 0n;
    return creditRoom(
      { leased, pending, acceptedUnpaidWei: wei(owed) },
      { priceWei: this.priceWei, creditShards, creditWei, depositLeftWei: this.depositLeft() },
    );
  }

  /** True where the channel cannot pay this many more shards. */
  runsLow(shards: number): boolean {
    return this.depositLeft() < BigInt(shards) * this.priceWei;
  }

  /** After verdicts: the ledger has raised what is owed. */
  reload(): void {
    this.channel = this.context.ledger.money.channel(this.channelId) ?? this.channel;
  }

  /** Reads the channel again: the requester may have topped it up, or given notice. */
  async refresh(): Promise<Result<Channel, ChainError | LedgerError>> {
    const { chain, ledger, clock } = this.context;
    const found = await chain.channels.get(this.channelId);
    if (!found.ok || this.context.stopping.aborted) return found;
    const saved = ledger.money.saveChannel(found.value, this.requester, clock.now());
    if (!saved.ok) return saved;
    this.reload();
    return found;
  }

  /** Verifies and stores; only then may more work be asked for. The leases that it pays are answered. */
  async accept(voucher: Voucher): Promise<Result<readonly string[], PayError>> {
    let fault = this.fault(voucher);
    if (fault?.code === 'voucher.over_deposit') {
      // A top-up that we have not seen yet.
      const refreshed = await this.refresh();
      if (!refreshed.ok) return refreshed;
      fault = this.fault(voucher);
    }
    if (fault !== undefined) {
      this.context.emit({ type: 'voucher.refused', peerId: this.requester, channelId: this.channelId, error: fault });
      return err(fault);
    }
    const addedWei = voucher.cumulativeWei - this.heldWei;
    const stored = this.context.ledger.money.acceptVoucher(voucher, this.context.clock.now());
    if (!stored.ok) return stored;
    this.held = voucher;
    this.reload();
    this.context.emit({
      type: 'voucher.received',
      peerId: this.requester,
      channelId: this.channelId,
      cumulativeWei: voucher.cumulativeWei.toString(),
      addedWei: addedWei.toString(),
    });
    return stored;
  }

  /** What the channel holds above all that was accepted or promised. */
  private depositLeft(): Wei {
    const { impliedWei, depositWei } = this.channel;
    return wei(depositWei - (impliedWei > this.heldWei ? impliedWei : this.heldWei));
  }

  private fault(voucher: Voucher): VoucherError | undefined {
    const { chain, clock, settings } = this.context;
    const { signer, depositWei, impliedWei } = this.channel;
    return voucherFault(
      voucher,
      {
        channelId: this.channelId,
        signer,
        depositWei,
        heldWei: this.heldWei,
        impliedWei,
        minExpiresAt: Math.floor(clock.now() / 1000) + settings.minVoucherSeconds,
      },
      chain.vouchers,
    );
  }
}
