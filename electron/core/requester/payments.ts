import type { JobChange } from '#core/ledger/requester-ledger.ts';
import type { PeerIdText } from '#shared/units.ts';
import type { JobCore } from './job-core.ts';
import { Step } from './ruling.ts';

/** Turns accepted answers into vouchers: those accepted within a short time share one. */
export class Payments {
  private readonly core: JobCore;
  private readonly signal: AbortSignal;
  private readonly scheduled = new Set<PeerIdText>();

  constructor(core: JobCore, signal: AbortSignal) {
    this.core = core;
    this.signal = signal;
  }

  schedule(peers: readonly PeerIdText[]): void {
    const { clock, settings } = this.core.context;
    for (const peer of new Set(peers)) {
      if (this.scheduled.has(peer)) continue;
      this.scheduled.add(peer);
      void clock.sleep(settings.payDelayMs, this.signal).then(() => {
        this.scheduled.delete(peer);
        if (!this.signal.aborted) this.flush(peer);
      });
    }
  }

  /** Answers paid, channel raised and voucher stored in one transaction; sent after it. An absent peer gets it when it joins again. */
  flush(peer: PeerIdText): void {
    const { core } = this;
    const account = core.paymaster.accounts.get(peer);
    if (account === undefined || account.due.size === 0 || core.halted !== undefined) return;
    const due = [...account.due];
    const step = new Step();
    const answers: NonNullable<JobChange['answers']>[number][] = [];
    for (const index of due) {
      const shard = core.board.shards.get(index);
      const answer = shard?.answers.get(peer);
      if (shard === undefined || answer === undefined)
        throw new Error(`shard ${index} is owed for and not on the board`);
      answers.push({ index, peer, from: answer.state, to: 'paid' });
      answer.state = 'paid';
      step.settle(shard);
    }
    const isFree = core.terms.priceWei === 0n;
    const voucher = isFree ? undefined : core.paymaster.voucher(account, due.length);
    const { reference } = account.channel;
    if (!core.commit(step, { answers, ...(voucher === undefined ? {} : { payment: { reference, voucher } }) })) return;
    for (const index of due) account.due.delete(index);
    if (voucher === undefined) return;
    const addedWei = voucher.cumulativeWei - account.channel.cumulativeWei;
    core.paymaster.paid(account, voucher);
    core.sessions.get(peer)?.link.send({ kind: 'pay', body: { voucher } });
    core.emit({
      type: 'voucher.sent',
      peerId: peer,
      channelId: voucher.channelId,
      cumulativeWei: voucher.cumulativeWei.toString(),
      addedWei: addedWei.toString(),
      shards: due.length,
    });
  }
}
