import type { Channel, Voucher } from '#core/chain/port.ts';
import type { ChannelState } from '#shared/model/job-states.ts';
import type { Result } from '#shared/result.ts';
import { wei, type Address, type Hex, type PeerIdText, type Wei } from '#shared/units.ts';
import type { Database, Row } from './database.ts';
import type { LedgerError } from './errors.ts';
import { amount, hexOf, maybe, numberOf, textOf, weiOf } from './rows.ts';

export interface PayerChannel {
  /** Derived from offer and provider; names the channel before the chain has. */
  readonly reference: Hex;
  readonly channelId: Hex | undefined;
  readonly jobId: string;
  readonly peer: PeerIdText;
  readonly payee: Address;
  readonly agentId: bigint;
  readonly state: ChannelState;
  /** On chain, or reserved for it while opening. */
  readonly depositWei: Wei;
  /** Promised by the newest voucher. */
  readonly cumulativeWei: Wei;
  readonly voucher: Voucher | undefined;
  readonly accepted: number;
  readonly refused: number;
  /** 'sending' is stored before the transaction: feedback is given at most once. */
  readonly feedback: 'none' | 'sending' | 'given';
  readonly closeAt: number | undefined;
}

/** The payer's channels. */
export class RequesterChannels {
  private readonly db: Database;

  constructor(db: Database) {
    this.db = db;
  }

  /** Sets money aside before the opening transaction is sent. */
  reserve(
    channel: Pick<PayerChannel, 'reference' | 'jobId' | 'peer' | 'payee' | 'agentId' | 'depositWei'>,
  ): Result<void, LedgerError> {
    return this.db.transition(
      [{ machine: 'channel', id: channel.reference, from: undefined, to: 'opening' }],
      () => {
        this.db.run(
          `INSERT INTO channels (reference, job_id, peer, payee, agent_id, state, deposit_wei, cumulative_wei)
           VALUES (?, ?, ?, ?, ?, 'opening', ?, '0')`,
          channel.reference,
          channel.jobId,
          channel.peer,
          channel.payee,
          channel.agentId.toString(),
          amount(channel.depositWei),
        );
      },
      { durable: true },
    );
  }

  opened(reference: Hex, channel: Channel): Result<void, LedgerError> {
    return this.db.transition(
      [{ machine: 'channel', id: reference, from: 'opening', to: 'open' }],
      () =>
        this.db.runOne(
          `UPDATE channels SET state = 'open', channel_id = ?, deposit_wei = ? WHERE reference = ? AND state = 'opening'`,
          channel.channelId,
          amount(channel.depositWei),
          reference,
        ),
      { durable: true },
    );
  }

  /** The deposit as reserved for a top-up, or as the chain shows it. */
  setDeposit(reference: Hex, depositWei: Wei): Result<void, LedgerError> {
    return this.db.transition(
      [],
      () => this.db.runOne('UPDATE channels SET deposit_wei = ? WHERE reference = ?', amount(depositWei), reference),
      { durable: true },
    );
  }

  /** A voucher of ours that the payee showed and this ledger does not know (it was lost): adopted, never undercut. */
  adopt(reference: Hex, voucher: Voucher): Result<void, LedgerError> {
    return this.db.transition([], () => this.writeVoucher(reference, voucher), { durable: true });
  }

  /** Within a transaction of `RequesterLedger.apply`. */
  writeVoucher(reference: Hex, voucher: Voucher): void {
    this.db.runOne(
      'UPDATE channels SET cumulative_wei = ?, voucher_expires_at = ?, voucher_signature = ? WHERE reference = ?',
      amount(voucher.cumulativeWei),
      voucher.expiresAt,
      voucher.signature,
      reference,
    );
  }

  move(channel: PayerChannel, to: ChannelState, closeAt?: number): Result<void, LedgerError> {
    return this.db.transition([{ machine: 'channel', id: channel.reference, from: channel.state, to }], () =>
      this.db.runOne(
        'UPDATE channels SET state = ?, close_at = coalesce(?, close_at) WHERE reference = ? AND state = ?',
        to,
        closeAt ?? null,
        channel.reference,
        channel.state,
      ),
    );
  }

  setFeedback(reference: Hex, feedback: PayerChannel['feedback']): Result<void, LedgerError> {
    return this.db.write(() =>
      this.db.runOne('UPDATE channels SET feedback = ? WHERE reference = ?', feedback, reference),
    );
  }

  get(reference: Hex): PayerChannel | undefined {
    const row = this.db.get('SELECT * FROM channels WHERE reference = ?', reference);
    return row === undefined ? undefined : channelOf(row);
  }

  ofJob(jobId: string): readonly PayerChannel[] {
    return this.db.all('SELECT * FROM channels WHERE job_id = ?', jobId).map(channelOf);
  }

  /** Channels of every job that still lock money on chain. */
  unclosed(): readonly PayerChannel[] {
    return this.db.all(`SELECT * FROM channels WHERE state <> 'closed'`).map(channelOf);
  }
}

function channelOf(row: Row): PayerChannel {
  const channelId = maybe(row, 'channel_id', hexOf);
  const signature = textOf(row, 'voucher_signature');
  const cumulativeWei = weiOf(row, 'cumulative_wei');
  return {
    reference: hexOf(row, 'reference'),
    channelId,
    jobId: textOf(row, 'job_id'),
    peer: textOf<PeerIdText>(row, 'peer'),
    payee: hexOf(row, 'payee'),
    agentId: BigInt(textOf(row, 'agent_id')),
    state: textOf<ChannelState>(row, 'state'),
    depositWei: weiOf(row, 'deposit_wei'),
    cumulativeWei: wei(cumulativeWei),
    voucher:
      signature === '' || channelId === undefined
        ? undefined
        : { channelId, cumulativeWei, expiresAt: numberOf(row, 'voucher_expires_at'), signature: signature as Hex },
    accepted: numberOf(row, 'accepted'),
    refused: numberOf(row, 'refused'),
    feedback: textOf<PayerChannel['feedback']>(row, 'feedback'),
    closeAt: maybe(row, 'close_at', numberOf),
  };
}
