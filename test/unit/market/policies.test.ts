import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { creditRoom } from '#core/market/policy/credit.ts';
import { chooseOffer, type OfferEntry } from '#core/market/policy/choose-offer.ts';
import { blend, leaseSize } from '#core/market/policy/lease-sizing.ts';
import { decideSettlement } from '#core/market/policy/settlement-policy.ts';
import { OfferBook } from '#core/market/offer-book.ts';
import { framesOf, PayloadReader } from '#core/market/wire/payload.ts';
import { Packer } from '#core/market/wire/pack.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import { offer as offerType, type Offer, type OfferId, type TensorLayout } from '#shared/protocol/work-messages.ts';
import { encode } from '#shared/protocol/work-wire.ts';
import { peerIdText, sha256Hex, wei } from '#shared/units.ts';

const amounts = fc.bigInt({ min: 0n, max: 1n << 100n }).map(wei);

describe('credit', () => {
  it('never lets unpaid work exceed the credit in shards, in wei, or what the channel holds', () => {
    fc.assert(
      fc.property(
        fc.nat({ max: 10_000 }),
        fc.nat({ max: 10_000 }),
        amounts,
        fc.bigInt({ min: 1n, max: 1n << 80n }).map(wei),
        fc.integer({ min: 1, max: 10_000 }),
        amounts,
        amounts,
        (leased, pending, acceptedUnpaidWei, priceWei, creditShards, creditWei, depositLeftWei) => {
          const exposure = { leased, pending, acceptedUnpaidWei };
          const room = creditRoom(exposure, { priceWei, creditShards, creditWei, depositLeftWei });
          expect(room).toBeGreaterThanOrEqual(0);
          const openWei = BigInt(leased + pending + room) * priceWei;
          const isWithin =
            leased + pending + room <= creditShards &&
            openWei + acceptedUnpaidWei <= creditWei &&
            openWei <= depositLeftWei;
          expect(room === 0 || isWithin).toBe(true);
          // And not stingy: one more would be too much.
          const more = BigInt(leased + pending + room + 1) * priceWei;
          const unpaid = Number((acceptedUnpaidWei + priceWei - 1n) / priceWei);
          expect(
            leased + pending + unpaid + room + 1 > creditShards ||
              more + acceptedUnpaidWei > creditWei ||
              more > depositLeftWei,
          ).toBe(true);
        },
      ),
    );
  });

  it('counts shards alone where work is free', () => {
    const exposure = { leased: 3, pending: 2, acceptedUnpaidWei: wei(0n) };
    const limits = { priceWei: wei(0n), creditShards: 9, creditWei: wei(0n), depositLeftWei: wei(0n) };
    expect(creditRoom(exposure, limits)).toBe(4);
  });
});

describe('the size of a lease', () => {
  it('is at least one, at most what is allowed, and at most four times the one before', () => {
    fc.assert(
      fc.property(
        fc.option(fc.double({ min: 0, max: 1e6, noNaN: true }), { nil: undefined }),
        fc.nat({ max: 500 }),
        fc.integer({ min: 1, max: 256 }),
        (shardMs, previous, max) => {
          const size = leaseSize({ shardMs, targetMs: 700, previous, max });
          expect(size).toBeGreaterThanOrEqual(1);
          expect(size).toBeLessThanOrEqual(Math.min(max, previous === 0 ? 1 : previous * 4));
        },
      ),
    );
  });

  it('comes to the target time once the shard’s is known', () => {
    let previous = 0;
    for (let round = 0; round < 6; round += 1) previous = leaseSize({ shardMs: 10, targetMs: 700, previous, max: 256 });
    expect(previous).toBe(70);
    expect(leaseSize({ shardMs: 5000, targetMs: 700, previous: 70, max: 256 })).toBe(1);
  });

  it('follows a measured time that changes, and stays between old and new', () => {
    expect(blend(undefined, 4)).toBe(4);
    expect(blend(10, 11)).toBeCloseTo(10.1);
    expect(blend(10, 100)).toBeCloseTo(40);
  });
});

describe('settlement', () => {
  const settings = { amountWei: wei(1000n), ageMs: 60_000 };
  const now = 1_900_000_000_000;
  const facts = {
    unsettledWei: wei(10n),
    oldestAt: now - 1000,
    voucherExpiresAt: now / 1000 + 30 * 86_400,
    closeAt: undefined,
  };

  it.each([
    { when: 'little is owed and it is fresh', change: {}, reason: undefined },
    {
      when: 'nothing is owed, whatever else',
      change: { unsettledWei: wei(0n), oldestAt: 0, closeAt: 5 },
      reason: undefined,
    },
    { when: 'enough is owed', change: { unsettledWei: wei(1000n) }, reason: 'amount' },
    { when: 'the oldest voucher is old', change: { oldestAt: now - 60_000 }, reason: 'age' },
    { when: 'the payer wants out', change: { closeAt: now / 1000 + 3600 }, reason: 'channel_closing' },
    {
      when: 'the voucher runs out in a day',
      change: { voucherExpiresAt: now / 1000 + 86_400 },
      reason: 'voucher_expiring',
    },
  ])('$reason when $when', ({ change, reason }) => {
    expect(decideSettlement({ ...facts, ...change }, settings, now).reason).toBe(reason);
  });

  it('says when to look again: the answer then is yes, and just before it no', () => {
    const { lookAgainAt } = decideSettlement(facts, settings, now);
    expect(decideSettlement(facts, settings, lookAgainAt - 1).reason).toBeUndefined();
    expect(decideSettlement(facts, settings, lookAgainAt).reason).toBe('age');
  });
});

const baseOffer: Offer = {
  offerId: '00'.repeat(16) as OfferId,
  kind: 'inference',
  modelCid: 'x',
  modelDigest: sha256Hex('ab'.repeat(32)),
  modelBytes: 1,
  priceWei: wei(10n),
  shardsOpen: 1,
  maxShardsPerLease: 1,
  payer: `0x${'11'.repeat(20)}`,
  chainId: 1,
  channels: `0x${'22'.repeat(20)}`,
  token: `0x${'33'.repeat(20)}`,
  deadline: 1e13,
  backends: ['cpu'],
  tolerance: 1e-5,
  checks: 'full',
  addresses: [],
};
const entry = (id: number, changes: Partial<Offer> = {}, requester = 'r'): OfferEntry => ({
  offer: { ...baseOffer, offerId: id.toString(16).padStart(32, '0') as OfferId, ...changes },
  requester: peerIdText(requester),
  payload: new Uint8Array(),
});

describe('the choice of an offer', () => {
  it('is the best paid per second, not per shard', () => {
    const quick = entry(1, { priceWei: wei(10n), modelDigest: sha256Hex('aa'.repeat(32)) });
    const dear = entry(2, { priceWei: wei(50n), modelDigest: sha256Hex('bb'.repeat(32)) });
    const shardMs = (offer: Offer) => (offer.offerId === quick.offer.offerId ? 1 : 100);
    expect(chooseOffer([dear, quick], { shardMs, unfinished: new Set() })).toBe(quick);
  });

  it('is one with unfinished work first, whatever it pays', () => {
    const owed = entry(1, { priceWei: wei(1n) });
    const rich = entry(2, { priceWei: wei(10n ** 9n) });
    const options = { shardMs: () => undefined, unfinished: new Set([owed.offer.offerId]) };
    expect(chooseOffer([rich, owed], options)).toBe(owed);
    expect(chooseOffer([owed, rich], options)).toBe(owed);
  });

  it('is none where there is none', () => {
    expect(chooseOffer([], { shardMs: () => 1, unfinished: new Set() })).toBeUndefined();
  });
});

describe('the book of offers', () => {
  const hear = (book: OfferBook, one: OfferEntry, expiresAt = 1000) =>
    book.hear({ sender: one.requester, payload: encode(offerType, one.offer), expiresAt });

  it('is bounded per requester and in all, and forgets the longest unheard', () => {
    const book = new OfferBook();
    for (let id = 0; id < 100; id += 1) hear(book, entry(id, {}, 'flooder'));
    expect(book.standing(0)).toHaveLength(LIMITS.work.offersPerPeer);
    for (let id = 0; id < LIMITS.work.offers + 50; id += 1) hear(book, entry(id, {}, `peer ${id}`));
    expect(book.standing(0)).toHaveLength(LIMITS.work.offers);
    expect(book.standing(0).at(-1)?.requester).toBe(`peer ${LIMITS.work.offers + 49}`);
  });

  it('tells a new offer from one repeated, and drops what is not repeated', () => {
    const book = new OfferBook();
    expect(hear(book, entry(1))).toMatchObject({ news: 'new' });
    expect(hear(book, entry(1), 2000)).toBeUndefined();
    expect(hear(book, entry(1, { addresses: ['/ip4/1.2.3.4/tcp/5'] }), 2000)).toMatchObject({ news: 'moved' });
    expect(book.standing(1999)).toHaveLength(1);
    expect(book.standing(2000)).toHaveLength(0);
  });

  it('keeps offers of two requesters apart though they bear one id', () => {
    const book = new OfferBook();
    hear(book, entry(1, { priceWei: wei(5n) }, 'a'));
    hear(book, entry(1, { priceWei: wei(6n) }, 'b'));
    expect(book.standing(0).map(({ offer }) => offer.priceWei)).toEqual([5n, 6n]);
  });

  it('takes no garbage', () => {
    const book = new OfferBook();
    expect(book.hear({ sender: peerIdText('a'), payload: Uint8Array.of(1, 2, 3), expiresAt: 9 })).toBeUndefined();
    expect(book.standing(0)).toEqual([]);
  });
});

describe('a payload', () => {
  const layouts = fc.array(
    fc.array(fc.nat({ max: 3000 }), { minLength: 1, maxLength: 4 }).map((sizes): TensorLayout => ({
      tensors: sizes.map((size, at) => ({ name: `t${at}`, dtype: 'uint8' as const, dims: [size] })),
    })),
    { maxLength: 6 },
  );

  it('comes out of the frames as it went in, however the frames were cut', () => {
    fc.assert(
      fc.property(layouts, fc.integer({ min: 1, max: 5000 }), (shapes, cut) => {
        let value = 0;
        const parts = shapes.map(({ tensors }) =>
          tensors.map(({ dims }) => new Uint8Array(dims[0] ?? 0).map(() => (value += 7))),
        );
        const bytes = Buffer.concat([...framesOf(parts.flat())]);
        const reader = new PayloadReader(shapes);
        for (let at = 0; at < bytes.length; at += cut) expect(reader.take(bytes.subarray(at, at + cut))).toBe(true);
        expect(reader.complete).toBe(true);
        expect(reader.parts()).toEqual(parts);
        expect(reader.take(Uint8Array.of(1))).toBe(false);
        for (const part of reader.parts().flat()) expect(part.byteOffset % 8).toBe(0);
      }),
    );
  });

  it('is cut into full frames, none empty and none too large', () => {
    const parts = [1, 3_000_000, 0, 5, 1_048_576, 400_000, 700_000, 9].map((size) => new Uint8Array(size));
    const frames = [...framesOf(parts)];
    expect(frames.reduce((sum, frame) => sum + frame.length, 0)).toBe(
      parts.reduce((sum, part) => sum + part.length, 0),
    );
    expect(Math.max(...frames.map((frame) => frame.length))).toBeLessThanOrEqual(LIMITS.frame.dataBytes);
    expect(Math.min(...frames.map((frame) => frame.length))).toBeGreaterThan(0);
  });
});

describe('a message’s packer', () => {
  const layout = (name: string): TensorLayout => ({ tensors: [{ name, dtype: 'uint8', dims: [1] }] });

  it('lists a layout once and always takes the first shard, however large', () => {
    const packer = new Packer();
    expect(packer.add(layout('x'), LIMITS.shard.inputBytes)).toBe(0);
    expect(packer.add(layout('x'), 1)).toBeUndefined();
  });

  it('stops at the number of shards and at the payload', () => {
    const packer = new Packer();
    for (let count = 0; count < LIMITS.shard.perLeaseCount; count += 1) expect(packer.add(layout('x'), 1)).toBe(0);
    expect(packer.add(layout('x'), 1)).toBeUndefined();
    const large = new Packer();
    large.add(layout('x'), LIMITS.work.payloadBytes - 1);
    expect(large.add(layout('x'), 2)).toBeUndefined();
    expect(large.add(layout('x'), 1)).toBe(0);
  });

  it('stops before long layouts fill the control frame', () => {
    const packer = new Packer();
    let taken = 0;
    while (packer.add(layout(`${'n'.repeat(250)}${taken}`), 1) !== undefined) taken += 1;
    expect(taken).toBeGreaterThan(20);
    expect(taken).toBeLessThanOrEqual(LIMITS.work.layouts);
  });
});
