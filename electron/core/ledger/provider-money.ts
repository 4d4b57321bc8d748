import type { Channel, Settlement, Voucher } from '#core/chain/port.ts';
import type { ChannelState } from '#shared/model/job-states.ts';
import type { Result } from '#shared/result.ts';
import { wei, type Address, type Hex, type PeerIdText, type Wei } from '#shared/units.ts';
import type { Database, Move, Row } from './database.ts';
import type { LedgerError } from './errors.ts';
import { amount, hexOf, maybe, numberOf, textOf, weiOf } from './rows.ts';

export interface ProviderChannel {
  readonly channelId: Hex;
  readonly requester: PeerIdText;
  readonly state: ChannelState;
  readonly payer: Address;
  readonly signer: Address;
  readonly depositWei: Wei;
  readonly settledWei: Wei;
  /** What the newest voucher must reach to cover all that was accepted. */
  readonly impliedWei: Wei;
  /** Unix seconds from which the payer may refund; undefined while nobody asked to close. */
  readonly closeAt: number | undefined;
}

export interface Unsettled {
  readonly channel: ProviderChannel;
  readonly voucher: Voucher;
  /** Cumulative minus what is settled already. */
  readonly unsettledWei: Wei;
  /** Unix milliseconds at which the oldest voucher that is not settled arrived. */
  readonly oldestAt: number;
}

export interface SettlementRow {
  readonly channelId: Hex;
  /** Empty where a crash lost the receipt and the chain showed that it is settled. */
  readonly transactionHash: string;
  readonly paidWei: Wei;
  readonly cumulativeWei: Wei;
  readonly settledAt: number;
}

export interface Earnings {
  /** Promised by vouchers held, settled or not. */
  readonly earnedWei: Wei;
  readonly settledWei: Wei;
  readonly accepted: number;
  readonly refused: number;
  readonly settlements: readonly SettlementRow[];
}

/** Channels, vouchers and settlements of the provider's ledger. Rows about money are durable before anybody acts on them. */
export class ProviderMoney {
  private readonly db: Database;

  constructor(db: Database) {
    this.db = db;
  }

  /** Takes in or refreshes what the chain says of a channel. A new one starts owing what is settled already; later settlements come as rows of their own. */
  saveChannel(channel: Channel, requester: PeerIdText, now: number): Result<void, LedgerError> {
    const known = this.channel(channel.channelId);
    const moves: Move<'channel'>[] =
      known === undefined ? [{ machine: 'channel', id: channel.channelId, from: undefined, to: 'open' }] : [];
    return this.db.transition(moves, () => {
      this.db.run(
        `INSERT INTO channels (channel_id, requester, state, payer, signer, deposit_wei, settled_wei, implied_wei, close_at, updated_at)
         VALUES (?, ?, 'open', ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (channel_id) DO UPDATE SET deposit_wei = excluded.deposit_wei, signer = excluded.signer, close_at = excluded.close_at, updated_at = excluded.updated_at`,
        channel.channelId,
        requester,
        channel.payer,
        channel.signer,
        amount(channel.depositWei),
        amount(channel.settledWei),
        amount(channel.settledWei),
        channel.closeAt ?? null,
        now,
      );
    });
  }

  channel(channelId: Hex): ProviderChannel | undefined {
    const row = this.db.get('SELECT * FROM channels WHERE channel_id = ?', channelId);
    return row === undefined ? undefined : channelOf(row);
  }

  channels(): readonly ProviderChannel[] {
    return this.db.all(`SELECT * FROM channels WHERE state <> 'closed'`).map(channelOf);
  }

  newestVoucher(channelId: Hex): Voucher | undefined {
    const row = this.db.get('SELECT * FROM vouchers WHERE channel_id = ? ORDER BY id DESC LIMIT 1', channelId);
    return row === undefined ? undefined : voucherOf(row);
  }

  /** A verified voucher: stored durably together with the leases that it pays in full. Returns their ids. */
  acceptVoucher(voucher: Voucher, now: number): Result<readonly string[], LedgerError> {
    const paid = this.db
      .all(
        `SELECT lease_id FROM leases WHERE channel_id = ? AND state = 'judged' AND accepted + refused = shards`,
        voucher.channelId,
      )
      .map((row) => textOf(row, 'lease_id'));
    const stored = this.db.transition(
      paid.map((id): Move<'lease'> => ({ machine: 'lease', id, from: 'judged', to: 'paid' })),
      () => {
        this.db.run(
          `INSERT INTO vouchers (channel_id, cumulative_wei, expires_at, signature, received_at) VALUES (?, ?, ?, ?, ?)`,
          voucher.channelId,
          amount(voucher.cumulativeWei),
          voucher.expiresAt,
          voucher.signature,
          now,
        );
        this.raiseImplied(voucher);
        for (const leaseId of paid) {
          this.db.runOne(
            `UPDATE leases SET state = 'paid', statement = NULL WHERE lease_id = ? AND state = 'judged'`,
            leaseId,
          );
          this.db.run('DELETE FROM results WHERE lease_id = ?', leaseId);
        }
      },
      { durable: true },
    );
    return stored.ok ? { ok: true, value: paid } : stored;
  }

  /** Channels with a voucher above what is settled. */
  unsettled(): readonly Unsettled[] {
    return this.db.all(`SELECT * FROM channels WHERE state <> 'closed'`).flatMap((row) => {
      const channel = channelOf(row);
      const voucher = this.newestVoucher(channel.channelId);
      if (voucher === undefined || voucher.cumulativeWei <= channel.settledWei) return [];
      const oldest = this.db.get(
        'SELECT min(received_at) AS oldest FROM vouchers WHERE channel_id = ? AND settled = 0',
        channel.channelId,
      );
      const oldestAt = (oldest === undefined ? undefined : maybe(oldest, 'oldest', numberOf)) ?? 0;
      return [{ channel, voucher, unsettledWei: wei(voucher.cumulativeWei - channel.settledWei), oldestAt }];
    });
  }

  /** Receipts, or what the chain shows to be settled. Recording the same one twice changes nothing. */
  recordSettlements(settlements: readonly Settlement[], now: number): Result<void, LedgerError> {
    return this.db.transition([], () => settlements.forEach((settlement) => this.recordOne(settlement, now)), {
      durable: true,
    });
  }

  moveChannel(channel: ProviderChannel, to: ChannelState): Result<void, LedgerError> {
    return this.db.transition(
      [{ machine: 'channel', id: channel.channelId, from: channel.state, to }],
      () =>
        this.db.runOne(
          'UPDATE channels SET state = ? WHERE channel_id = ? AND state = ?',
          to,
          channel.channelId,
          channel.state,
        ),
      { durable: true },
    );
  }

  /** Everything ever earned here; settlements newest first. */
  earnings(): Earnings {
    let earned = 0n;
    let settled = 0n;
    for (const row of this.db.all('SELECT channel_id, settled_wei FROM channels')) {
      const settledWei = weiOf(row, 'settled_wei');
      const newest = this.newestVoucher(hexOf(row, 'channel_id'))?.cumulativeWei ?? 0n;
      settled += settledWei;
      earned += newest > settledWei ? newest : settledWei;
    }
    const shards = this.db.get('SELECT total(accepted) AS accepted, total(refused) AS refused FROM peers');
    return {
      earnedWei: wei(earned),
      settledWei: wei(settled),
      accepted: shards === undefined ? 0 : numberOf(shards, 'accepted'),
      refused: shards === undefined ? 0 : numberOf(shards, 'refused'),
      settlements: this.db.all('SELECT * FROM settlements ORDER BY id DESC').map(settlementOf),
    };
  }

  private recordOne(settlement: Settlement, now: number): void {
    this.db.run(
      `INSERT OR IGNORE INTO settlements (channel_id, transaction_hash, block_number, paid_wei, cumulative_wei, settled_at)
       VALUES (?, ?, ?, ?, ?, ?)`,
      settlement.channelId,
      settlement.transactionHash,
      settlement.blockNumber,
      amount(settlement.paidWei),
      amount(settlement.cumulativeWei),
      now,
    );
    const channel = this.channel(settlement.channelId);
    if (channel === undefined || channel.settledWei >= settlement.cumulativeWei) return;
    this.db.runOne(
      'UPDATE channels SET settled_wei = ?, updated_at = ? WHERE channel_id = ?',
      amount(settlement.cumulativeWei),
      now,
      settlement.channelId,
    );
    this.forgetSettledVouchers(settlement);
  }

  /** Of the vouchers up to the settled one only that one is kept. */
  private forgetSettledVouchers(settlement: Settlement): void {
    const row = this.db.get(
      'SELECT id FROM vouchers WHERE channel_id = ? AND cumulative_wei = ?',
      settlement.channelId,
      amount(settlement.cumulativeWei),
    );
    if (row === undefined) return;
    const id = numberOf(row, 'id');
    this.db.run('DELETE FROM vouchers WHERE channel_id = ? AND id < ? AND settled = 0', settlement.channelId, id);
    this.db.run('UPDATE vouchers SET settled = 1 WHERE id = ?', id);
  }

  /**
   * A voucher may be ahead of the verdicts: they were lost with a conversation and come again, or with an old ledger and
   * do not. What can no longer come by verdict is owed already; the rest must not be counted twice.
   */
  private raiseImplied(voucher: Voucher): void {
    const channel = this.channel(voucher.channelId);
    if (channel === undefined) throw new Error(`voucher for an unknown channel ${voucher.channelId}`);
    const base = voucher.cumulativeWei - this.unjudgedWei(voucher.channelId);
    if (base <= channel.impliedWei) return;
    this.db.run('UPDATE channels SET implied_wei = ? WHERE channel_id = ?', amount(wei(base)), voucher.channelId);
  }

  /** Price of all results that have no verdict yet. */
  private unjudgedWei(channelId: Hex): bigint {
    const rows = this.db.all(
      `SELECT l.price_wei AS price_wei, count(*) AS results FROM leases l JOIN results r ON r.lease_id = l.lease_id
       WHERE l.channel_id = ? AND r.verdict IS NULL GROUP BY l.price_wei`,
      channelId,
    );
    return rows.reduce((sum, row) => sum + weiOf(row, 'price_wei') * BigInt(numberOf(row, 'results')), 0n);
  }
}

function channelOf(row: Row): ProviderChannel {
  return {
    channelId: hexOf(row, 'channel_id'),
    requester: textOf<PeerIdText>(row, 'requester'),
    state: textOf<ChannelState>(row, 'state'),
    payer: hexOf(row, 'payer'),
    signer: hexOf(row, 'signer'),
    depositWei: weiOf(row, 'deposit_wei'),
    settledWei: weiOf(row, 'settled_wei'),
    impliedWei: weiOf(row, 'implied_wei'),
    closeAt: maybe(row, 'close_at', numberOf),
  };
}

function voucherOf(row: Row): Voucher {
  return {
    channelId: hexOf(row, 'channel_id'),
    cumulativeWei: weiOf(row, 'cumulative_wei'),
    expiresAt: numberOf(row, 'expires_at'),
    signature: hexOf(row, 'signature'),
  };
}

function settlementOf(row: Row): SettlementRow {
  return {
    channelId: hexOf(row, 'channel_id'),
    transactionHash: textOf(row, 'transaction_hash'),
    paidWei: weiOf(row, 'paid_wei'),
    cumulativeWei: weiOf(row, 'cumulative_wei'),
    settledAt: numberOf(row, 'settled_at'),
  };
}
