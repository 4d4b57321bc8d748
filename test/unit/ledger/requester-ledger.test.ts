import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { IllegalTransition } from '#core/ledger/database.ts';
import { openLedger, type LedgerOptions } from '#core/ledger/open-ledger.ts';
import type { AnswerRow, JobTerms } from '#core/ledger/requester-jobs.ts';
import type { JobChange, RequesterLedger } from '#core/ledger/requester-ledger.ts';
import type { LeaseId, OfferId } from '#shared/protocol/work-messages.ts';
import type { Result } from '#shared/result.ts';
import { peerIdText, sha256Hex, wei, type Hex } from '#shared/units.ts';
import { tempDir } from '#support/temp-dir.ts';

const peer = peerIdText('16Uiu2HAmProvider');
const leaseId = '1'.repeat(32) as LeaseId;
const reference: Hex = `0x${'ee'.repeat(32)}`;
const channelId: Hex = `0x${'cc'.repeat(32)}`;
const terms: JobTerms = {
  modelCid: 'bafy',
  modelDigest: sha256Hex('ab'.repeat(32)),
  modelBytes: 10,
  priceWei: wei(10n ** 30n),
  budgetWei: wei(10n ** 33n),
  checks: 'full',
  tolerance: 1e-5,
  count: 3,
  backends: ['cpu'],
  deadline: 1e13,
};
const layout = { tensors: [{ name: 'y', dtype: 'uint8' as const, dims: [2] }] };
const answer = (index: number): AnswerRow => ({
  index,
  peer,
  leaseId,
  state: 'received',
  code: '',
  digest: sha256Hex('dd'),
  backend: 'cpu',
  computeMicros: 3,
});

function must<T>(value: Result<T, { message: string }>): T {
  if (!value.ok) throw new Error(value.error.message);
  return value.value;
}

function open(options: LedgerOptions = {}): RequesterLedger {
  const ledger = must(openLedger(path.join(tempDir(), 'r.db'), 'requester', options));
  must(ledger.createJob({ jobId: 'j', offerId: 'f'.repeat(32) as OfferId, terms }, 1));
  return ledger;
}

const granting: JobChange = {
  grant: { leaseId, peer, shards: [0, 1], statementDigest: sha256Hex('aa'), expiresAt: 50 },
  shards: [0, 1].map((index) => ({ index, from: undefined, to: 'assigned' as const, inputDigest: sha256Hex('cd') })),
  nextIndex: 2,
};
const answering: JobChange = {
  newAnswers: [answer(0), answer(1)],
  shards: [0, 1].map((index) => ({ index, from: 'assigned' as const, to: 'answered' as const })),
  outputs: [0, 1].map((index) => ({ index, source: peer, layout, parts: [Uint8Array.of(index, 9)] })),
  grantMoves: [{ leaseId, from: 'open', to: 'answered' }],
};
const voucher = { channelId, cumulativeWei: wei(10n ** 30n), expiresAt: 9, signature: '0x01' as Hex };

function reserve(ledger: RequesterLedger): void {
  must(
    ledger.channels.reserve({ reference, jobId: 'j', peer, payee: '0x02', agentId: 7n, depositWei: wei(10n ** 31n) }),
  );
  must(
    ledger.channels.opened(reference, {
      channelId,
      payer: '0x01',
      payee: '0x02',
      signer: '0x01',
      depositWei: wei(10n ** 31n),
      settledWei: wei(0n),
      challengeSeconds: 1,
      closeAt: undefined,
    }),
  );
}

describe("the requester's ledger", () => {
  it('keeps terms with amounts of any size', () => {
    const ledger = open();
    expect(ledger.job('j')?.terms).toEqual(terms);
    ledger.close();
  });

  it('shows after a restart exactly what is unfinished', () => {
    const ledger = open();
    must(ledger.apply('j', granting));
    expect(ledger.unfinishedWork('j')).toMatchObject({
      shards: [{ index: 0, state: 'assigned' }, { index: 1 }],
      grants: [{ shards: [0, 1] }],
    });
    must(ledger.apply('j', answering));
    expect(ledger.unfinishedWork('j')).toMatchObject({ answers: [{ index: 0 }, { index: 1 }], grants: [] });
    expect(ledger.outputs('j', 1, peer)?.['y']?.bytes).toEqual(Uint8Array.of(1, 9));
    ledger.close();
  });

  it('stores answers as paid, the channel and its voucher in one step', () => {
    const ledger = open();
    reserve(ledger);
    must(ledger.apply('j', granting));
    must(ledger.apply('j', answering));
    must(
      ledger.apply('j', {
        answers: [{ index: 0, peer, from: 'received', to: 'agreed' }],
        shards: [{ index: 0, from: 'answered', to: 'verified' }],
      }),
    );
    must(
      ledger.apply('j', {
        answers: [{ index: 0, peer, from: 'agreed', to: 'paid' }],
        shards: [{ index: 0, from: 'verified', to: 'settled' }],
        payment: { reference, voucher },
      }),
    );
    expect(ledger.channels.get(reference)).toMatchObject({ cumulativeWei: 10n ** 30n, voucher });
    expect(ledger.answersOf('j', peer, [0]).get(0)?.state).toBe('paid');
    ledger.close();
  });

  it('pays no answer twice and nothing of a payment with one answer that cannot be paid', () => {
    const ledger = open();
    reserve(ledger);
    must(ledger.apply('j', granting));
    must(ledger.apply('j', answering));
    const accept = { index: 0, peer, from: 'received', to: 'agreed' } as const;
    must(ledger.apply('j', { answers: [accept] }));
    const pay = { answers: [{ index: 0, peer, from: 'agreed', to: 'paid' }], payment: { reference, voucher } } as const;
    must(ledger.apply('j', pay));
    const second = { ...voucher, cumulativeWei: wei(2n * 10n ** 30n) };
    expect(() => ledger.apply('j', { ...pay, payment: { reference, voucher: second } })).toThrow(
      'expected to change one row',
    );
    expect(() => ledger.apply('j', { answers: [{ index: 1, peer, from: 'received', to: 'paid' }] })).toThrow(
      IllegalTransition,
    );
    expect(ledger.channels.get(reference)?.cumulativeWei).toBe(10n ** 30n);
    ledger.close();
  });

  it('prunes what is settled and delivered, and nothing else', () => {
    const ledger = open();
    must(ledger.apply('j', granting));
    must(ledger.apply('j', answering));
    must(
      ledger.apply('j', {
        answers: [{ index: 0, peer, from: 'received', to: 'trusted' }],
        shards: [{ index: 0, from: 'answered', to: 'verified' }],
      }),
    );
    must(
      ledger.apply('j', {
        answers: [{ index: 0, peer, from: 'trusted', to: 'paid' }],
        shards: [{ index: 0, from: 'verified', to: 'settled' }],
        nextDelivery: 1,
      }),
    );
    must(ledger.prune('j', 49));
    expect(ledger.answersOf('j', peer, [0, 1]).size).toBe(2);
    must(ledger.prune('j', 51));
    expect([...ledger.answersOf('j', peer, [0, 1]).keys()]).toEqual([1]);
    expect(ledger.grant(leaseId)).toBeDefined();
    expect(ledger.unfinishedWork('j').shards.map(({ index }) => index)).toEqual([1]);
    ledger.close();
  });

  it('leaves nothing half-written when the disk is full', () => {
    const ledger = open({ maxPages: 45 });
    must(ledger.apply('j', granting));
    const large = { ...answering, outputs: [{ index: 0, source: peer, layout, parts: [new Uint8Array(400_000)] }] };
    expect(ledger.apply('j', large)).toMatchObject({ error: { code: 'ledger.disk_full' } });
    expect(ledger.unfinishedWork('j')).toMatchObject({
      shards: [{ state: 'assigned' }, { state: 'assigned' }],
      answers: [],
    });
    must(ledger.apply('j', answering));
    ledger.close();
  });
});
