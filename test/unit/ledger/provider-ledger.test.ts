import path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Channel, Voucher } from '#core/chain/port.ts';
import { IllegalTransition, type Move } from '#core/ledger/database.ts';
import { openLedger, type LedgerOptions } from '#core/ledger/open-ledger.ts';
import type { NewLease, StoredResult } from '#core/ledger/provider-leases.ts';
import type { ProviderLedger } from '#core/ledger/provider-ledger.ts';
import type { LeaseId, OfferId } from '#shared/protocol/work-messages.ts';
import type { Result } from '#shared/result.ts';
import { peerIdText, sha256Hex, wei, type Hex } from '#shared/units.ts';
import { tempDir } from '#support/temp-dir.ts';

const requester = peerIdText('16Uiu2HAmRequester');
const offerId = '0'.repeat(32) as OfferId;
const channelId: Hex = `0x${'cc'.repeat(32)}`;
const channel: Channel = {
  channelId,
  payer: `0x${'01'.repeat(20)}`,
  payee: `0x${'02'.repeat(20)}`,
  signer: `0x${'03'.repeat(20)}`,
  depositWei: wei(1000n),
  settledWei: wei(0n),
  challengeSeconds: 3600,
  closeAt: undefined,
};
const voucher = (cumulative: bigint): Voucher => ({
  channelId,
  cumulativeWei: wei(cumulative),
  expiresAt: 2_000_000_000,
  signature: `0x${'00'.repeat(65)}`,
});
const lease = (name: string, shards = 2): NewLease => ({
  leaseId: name.padEnd(32, '0') as LeaseId,
  offerId,
  requester,
  channelId,
  priceWei: wei(10n),
  shards,
  statement: Uint8Array.of(1),
  statementDigest: sha256Hex('ab'),
  expiresAt: 99_000,
});
const layout = { tensors: [{ name: 'y', dtype: 'float32' as const, dims: [1] }] };
const result = (index: number): StoredResult => ({
  index,
  code: '',
  layout,
  digest: sha256Hex(`d${index}`),
  computeMicros: 5,
  outputs: [Uint8Array.of(index, 0, 0, 0)],
});

function must<T>(value: Result<T, { message: string }>): T {
  if (!value.ok) throw new Error(value.error.message);
  return value.value;
}

function open(file = path.join(tempDir(), 'p.db'), options: LedgerOptions = {}): ProviderLedger {
  return must(openLedger(file, 'provider', options));
}

function withChannel(ledger: ProviderLedger): ProviderLedger {
  must(ledger.leases.saveEngagement({ offerId, requester, offer: Uint8Array.of(7), channelId }, 1));
  must(ledger.money.saveChannel(channel, requester, 1));
  return ledger;
}

function compute(ledger: ProviderLedger, granted: NewLease): void {
  must(ledger.leases.grant(granted, 1));
  must(ledger.leases.move([ledger.leases.lease(granted.leaseId)!], 'running'));
  must(
    ledger.leases.computed(
      granted.leaseId,
      Array.from({ length: granted.shards }, (_, index) => result(index)),
    ),
  );
  must(ledger.leases.move([ledger.leases.lease(granted.leaseId)!], 'submitted'));
}

describe("the provider's ledger", () => {
  it('carries a lease from its inputs to the voucher that pays it, and drops outputs as they are judged', () => {
    const ledger = withChannel(open());
    const one = lease('a');
    compute(ledger, one);
    expect(ledger.leases.waitingResults(one.leaseId).map((r) => r.outputs[0]?.[0])).toEqual([0, 1]);
    const first = must(ledger.leases.judge(one.leaseId, [{ index: 0, outcome: 'accepted', code: '' }], 2));
    expect(first).toMatchObject({ accepted: 1, earnedWei: 10n, state: 'judged' });
    expect(ledger.leases.waitingResults(one.leaseId)).toHaveLength(1);
    expect(must(ledger.money.acceptVoucher(voucher(10n), 3))).toEqual([]);
    must(ledger.leases.judge(one.leaseId, [{ index: 1, outcome: 'accepted', code: '' }], 4));
    expect(ledger.money.channel(channelId)?.impliedWei).toBe(20n);
    expect(must(ledger.money.acceptVoucher(voucher(20n), 5))).toEqual([one.leaseId]);
    expect(ledger.leases.lease(one.leaseId)?.state).toBe('paid');
    expect(ledger.leases.unfinishedEngagements()).toEqual([]);
    ledger.close();
  });

  it('takes a voucher that is ahead of verdicts which come again, and one that is ahead of verdicts lost for good', () => {
    const ledger = withChannel(open());
    compute(ledger, lease('a'));
    // Pays for both results of the lease and for three of a ledger that is gone.
    must(ledger.money.acceptVoucher(voucher(50n), 2));
    expect(ledger.money.channel(channelId)?.impliedWei).toBe(30n);
    const verdicts = [0, 1].map((index) => ({ index, outcome: 'accepted' as const, code: '' }));
    expect(must(ledger.leases.judge(lease('a').leaseId, verdicts, 3))).toMatchObject({ accepted: 2, state: 'paid' });
    expect(ledger.money.channel(channelId)?.impliedWei).toBe(50n);
    expect(ledger.leases.open()).toEqual([]);
    ledger.close();
  });

  it('counts a verdict once, however often it is sent', () => {
    const ledger = withChannel(open());
    compute(ledger, lease('a'));
    const verdict = [{ index: 0, outcome: 'accepted' as const, code: '' }];
    must(ledger.leases.judge(lease('a').leaseId, verdict, 2));
    expect(must(ledger.leases.judge(lease('a').leaseId, verdict, 2))).toMatchObject({ accepted: 0, earnedWei: 0n });
    expect(ledger.money.channel(channelId)?.impliedWei).toBe(10n);
    ledger.close();
  });

  it('ends a lease of which nothing was accepted as refused', () => {
    const ledger = withChannel(open());
    compute(ledger, lease('a', 1));
    must(ledger.leases.judge(lease('a').leaseId, [{ index: 0, outcome: 'refused', code: 'work.deviant' }], 2));
    expect(ledger.leases.lease(lease('a').leaseId)).toMatchObject({ state: 'refused', refused: 1 });
    expect(ledger.leases.open()).toEqual([]);
    ledger.close();
  });

  it('refuses an illegal transition and changes nothing', () => {
    const ledger = withChannel(open());
    must(ledger.leases.grant(lease('a'), 1));
    const granted = ledger.leases.lease(lease('a').leaseId)!;
    expect(() => ledger.leases.move([granted], 'paid')).toThrow(IllegalTransition);
    expect(() => ledger.leases.move([{ ...granted, state: 'computed' }], 'submitted')).toThrow(
      'expected to change one row',
    );
    expect(ledger.leases.lease(granted.leaseId)?.state).toBe('granted');
    ledger.close();
  });

  it('shows every transition to the observer before and after its commit', () => {
    const seen: string[] = [];
    const record = (moment: string, moves: readonly Move[]) =>
      seen.push(...moves.map((move) => `${moment} ${move.machine} ${move.from ?? ''}>${move.to}`));
    const ledger = withChannel(open(undefined, { observer: record }));
    must(ledger.leases.grant(lease('a'), 1));
    expect(seen).toEqual([
      'before channel >open',
      'after channel >open',
      'before lease >granted',
      'after lease >granted',
    ]);
    ledger.close();
  });

  it('knows what is not settled, and a settlement recorded twice counts once', () => {
    const ledger = withChannel(open());
    must(ledger.money.acceptVoucher(voucher(10n), 100));
    must(ledger.money.acceptVoucher(voucher(30n), 200));
    expect(ledger.money.unsettled()).toMatchObject([{ unsettledWei: 30n, oldestAt: 100 }]);
    const settlement = {
      channelId,
      transactionHash: '0xabc' as const,
      blockNumber: 7,
      paidWei: wei(30n),
      cumulativeWei: wei(30n),
    };
    must(ledger.money.recordSettlements([settlement], 300));
    must(ledger.money.recordSettlements([settlement], 301));
    expect(ledger.money.unsettled()).toEqual([]);
    expect(ledger.money.newestVoucher(channelId)?.cumulativeWei).toBe(30n);
    must(ledger.money.acceptVoucher(voucher(45n), 400));
    expect(ledger.money.unsettled()).toMatchObject([{ unsettledWei: 15n, oldestAt: 400 }]);
    expect(ledger.money.earnings()).toMatchObject({ earnedWei: 45n, settledWei: 30n, settlements: [{ paidWei: 30n }] });
    ledger.close();
  });

  it('adds amounts that no 64-bit integer holds', () => {
    const ledger = withChannel(open());
    const huge = (1n << 127n) + 3n;
    must(ledger.money.acceptVoucher(voucher(huge), 1));
    expect(ledger.money.earnings().earnedWei).toBe(huge);
    ledger.close();
  });

  it('answers ledger.disk_full when the disk is full, keeps what it had, and goes on when there is room', () => {
    const file = path.join(tempDir(), 'full.db');
    const ledger = withChannel(open(file, { maxPages: 40 }));
    must(ledger.leases.grant(lease('a', 1), 1));
    must(ledger.leases.move([ledger.leases.lease(lease('a').leaseId)!], 'running'));
    const large: StoredResult = { ...result(0), outputs: [new Uint8Array(200_000)] };
    expect(ledger.leases.computed(lease('a').leaseId, [large])).toMatchObject({ error: { code: 'ledger.disk_full' } });
    expect(ledger.leases.lease(lease('a').leaseId)?.state).toBe('running');
    expect(ledger.leases.waitingResults(lease('a').leaseId)).toEqual([]);
    must(ledger.leases.computed(lease('a').leaseId, [result(0)]));
    expect(ledger.leases.lease(lease('a').leaseId)?.state).toBe('computed');
    ledger.close();
  });

  it('forgets old finished leases and keeps open ones', () => {
    const ledger = withChannel(open());
    compute(ledger, lease('a', 1));
    must(ledger.leases.judge(lease('a').leaseId, [{ index: 0, outcome: 'refused', code: '' }], 2));
    must(ledger.leases.grant(lease('b'), 1));
    must(ledger.leases.prune(50));
    expect(ledger.leases.lease(lease('a').leaseId)).toBeUndefined();
    expect(ledger.leases.open()).toHaveLength(1);
    ledger.close();
  });
});
