import { describe, expect, it } from 'vitest';
import type { Voucher } from '#core/chain/port.ts';
import { wei, type Hex } from '#shared/units.ts';
import { expectMessage, ScriptedRequester } from '#support/market/scripted-requester.ts';
import { until } from '#support/market/until.ts';
import { must, PRICE, World, type ProviderNode } from '#support/market/world.ts';

async function setUp(): Promise<{ world: World; provider: ProviderNode; requester: ScriptedRequester }> {
  const world = await World.create();
  const provider = world.addProvider('alice');
  const requester = new ScriptedRequester(world);
  await requester.publish();
  return { world, provider, requester };
}

const ended = (provider: ProviderNode) => provider.events.find((event) => event.type === 'work.ended');

describe('a voucher is refused, its sender reported and left alone, and the ledger keeps the good one', () => {
  const strangersKey = new Uint8Array(32).fill(7);

  const cases: readonly {
    readonly code: string;
    readonly bad: (requester: ScriptedRequester, world: World, channelId: Hex) => Voucher;
  }[] = [
    {
      code: 'voucher.forged',
      bad: (requester, _world, channelId) =>
        requester.account.chain.vouchers.sign({ ...requester.voucher(channelId, 2n * PRICE) }, strangersKey),
    },
    {
      code: 'voucher.forged',
      bad: (requester, world, channelId) =>
        world.chain.codecOf(1).sign(requester.voucher(channelId, 2n * PRICE), requester.account.privateKey),
    },
    {
      code: 'voucher.malformed',
      bad: (requester, _world, channelId) => ({
        ...requester.voucher(channelId, 2n * PRICE),
        signature: `0x${'ff'.repeat(65)}`,
      }),
    },
    { code: 'voucher.replayed', bad: (requester, _world, channelId) => requester.voucher(channelId, PRICE) },
    { code: 'voucher.too_small', bad: (requester, _world, channelId) => requester.voucher(channelId, PRICE + 1n) },
    { code: 'voucher.over_deposit', bad: (requester, _world, channelId) => requester.voucher(channelId, 1_000_001n) },
    {
      code: 'voucher.expires_too_soon',
      bad: (requester, _world, channelId) =>
        requester.voucher(channelId, 2n * PRICE, { expiresAt: Math.floor(Date.now() / 1000) + 60 }),
    },
    {
      code: 'voucher.wrong_channel',
      bad: (requester) => requester.voucher(`0x${'99'.repeat(32)}`, 2n * PRICE),
    },
  ];

  it.each(cases)('$code', async ({ code, bad }) => {
    const { world, provider, requester } = await setUp();
    const { link, channelId } = await requester.worked(provider, [1]);
    const good = requester.voucher(channelId, PRICE);
    link.send({ kind: 'pay', body: { voucher: good } });
    expect(await expectMessage(link, 'voucherAck')).toEqual({ cumulativeWei: PRICE });
    // One more shard is accepted, and now the pay for it is wrong.
    const leaseId = await requester.lease(link, [2]);
    const results = await expectMessage(link, 'results');
    must(await link.payload(results.items.map(({ layout }) => results.layouts[layout] ?? { tensors: [] })));
    link.send({ kind: 'verdicts', body: { leaseId, items: [{ index: 2, outcome: 'accepted', code: '' }] } });
    link.send({ kind: 'pay', body: { voucher: bad(requester, world, channelId) } });
    await until(() => ended(provider) !== undefined);
    expect(ended(provider)).toMatchObject({ outcome: 'refused', error: { code } });
    expect(provider.peer.reported).toContainEqual({ peer: requester.peer.peerId, misdeed: 'bad_voucher' });
    expect(provider.ledger.money.newestVoucher(channelId)).toEqual(good);
    expect(provider.ledger.avoidUntil(requester.peer.peerId)).toBeGreaterThan(Date.now());
    expect(provider.provider.status().state).toBe('looking');
    // What it holds is still worth its money.
    must(await provider.provider.settleNow());
    expect(provider.ledger.money.earnings()).toMatchObject({ settledWei: PRICE });
  });

  it('takes a voucher above the deposit it knew, once the chain shows the top-up', async () => {
    const { provider, requester } = await setUp();
    const { link, channelId } = await requester.worked(provider, [1]);
    must(await requester.account.chain.channels.topUp(channelId, wei(1_000_000n)));
    link.send({ kind: 'pay', body: { voucher: requester.voucher(channelId, 1_500_000n) } });
    expect(await expectMessage(link, 'voucherAck')).toEqual({ cumulativeWei: 1_500_000n });
  });
});

describe('a channel is refused at the welcome', () => {
  it('that pays somebody else', async () => {
    const { world, provider, requester } = await setUp();
    const other = world.addProvider('bob');
    const channelId = await requester.openChannel(other);
    const begun = requester.begin(provider, { channelId });
    await until(() => ended(provider) !== undefined || ended(other) !== undefined);
    await begun;
    const refused = [ended(provider), ended(other)].find((event) => event?.type === 'work.ended');
    expect(refused).toMatchObject({ outcome: 'refused', error: { code: 'channel.not_ours' } });
  });

  it.each([
    {
      what: 'whose payer could be off with the money in a moment',
      deposit: 1_000_000n,
      notice: 60,
      code: 'channel.short_notice',
    },
    {
      what: 'that does not hold the pay of one shard',
      deposit: PRICE - 1n,
      notice: 86_400,
      code: 'channel.too_little',
    },
  ])('$what', async ({ deposit, notice, code }) => {
    const { provider, requester } = await setUp();
    const channelId = await requester.openChannel(provider, deposit, notice);
    await requester.begin(provider, { channelId });
    await until(() => ended(provider) !== undefined);
    expect(ended(provider)).toMatchObject({ outcome: 'refused', error: { code } });
  });

  it('that does not exist', async () => {
    const { provider, requester } = await setUp();
    await requester.begin(provider, { channelId: `0x${'12'.repeat(32)}` });
    await until(() => ended(provider) !== undefined);
    expect(ended(provider)).toMatchObject({ outcome: 'broken', error: { code: 'chain.not_found' } });
  });

  it('at a lower price than was offered', async () => {
    const { provider, requester } = await setUp();
    await requester.begin(provider, { priceWei: wei(PRICE - 1n) });
    await until(() => ended(provider) !== undefined);
    expect(ended(provider)).toMatchObject({ error: { code: 'work.price_changed' } });
  });
});

describe('a lease is refused', () => {
  it.each([
    { what: 'for another model', changes: { modelDigest: 'ee'.repeat(32) as never } },
    { what: 'of another offer', changes: { offerId: 'ee'.repeat(16) as never } },
    { what: 'that is somebody else’s', changes: { provider: 'somebody' } },
    { what: 'that has run out', changes: { expiresAt: 5 } },
    { what: 'without shards', changes: { shards: [] } },
  ])('$what', async ({ changes }) => {
    const { provider, requester } = await setUp();
    const { link } = await requester.begin(provider);
    await expectMessage(link, 'want');
    await requester.lease(link, [1], changes);
    await until(() => ended(provider) !== undefined);
    expect(ended(provider)).toMatchObject({ outcome: 'refused', error: { code: 'work.lease_invalid' } });
    expect(provider.ledger.leases.open()).toEqual([]);
  });

  it('with more shards than were asked for', async () => {
    const { provider, requester } = await setUp();
    const { link } = await requester.begin(provider);
    await expectMessage(link, 'want');
    await requester.lease(link, [1, 2, 3]);
    await until(() => ended(provider) !== undefined);
    expect(ended(provider)).toMatchObject({ error: { code: 'work.lease_invalid' } });
  });

  it('that nobody asked for', async () => {
    const world = await World.create();
    // Credit for one shard: there is exactly one want.
    const provider = world.addProvider('alice', { settings: { creditShards: 1 } });
    const requester = new ScriptedRequester(world);
    await requester.publish();
    const { link } = await requester.begin(provider);
    await expectMessage(link, 'want');
    for (const index of [1, 2]) await requester.lease(link, [index]);
    await until(() => ended(provider) !== undefined);
    expect(ended(provider)).toMatchObject({ error: { code: 'work.lease_invalid' } });
    expect(provider.peer.reported).toContainEqual({ peer: requester.peer.peerId, misdeed: 'too_much' });
  });

  it('whose inputs are not those it signed for', async () => {
    const { provider, requester } = await setUp();
    const { link } = await requester.begin(provider);
    await expectMessage(link, 'want');
    await requester.lease(link, [1], {}, (bytes) => bytes.map((byte) => byte ^ 1));
    await until(() => ended(provider) !== undefined);
    expect(ended(provider)).toMatchObject({ error: { code: 'work.input_altered' } });
    expect(provider.peer.reported).toContainEqual({ peer: requester.peer.peerId, misdeed: 'wrong_bytes' });
  });
});

describe('credit', () => {
  it('no more is asked for than the credit allows, until pay comes', async () => {
    const world = await World.create();
    const provider = world.addProvider('alice', { settings: { creditShards: 2 } });
    const requester = new ScriptedRequester(world);
    await requester.publish();
    const { link } = await requester.begin(provider);
    const leases = [await requester.lease(link, [1]), await requester.lease(link, [2])];
    let wanted = 0;
    let judged = 0;
    for (let quiet = false; !quiet;) {
      const received = await link.next(400);
      quiet = !received.ok;
      const message = received.ok ? received.value : undefined;
      if (message?.kind === 'want') wanted += message.body.maxShards;
      if (message?.kind !== 'results') continue;
      const { items, layouts } = message.body;
      must(await link.payload(items.map(({ layout }) => layouts[layout] ?? { tensors: [] })));
      const verdicts = items.map(({ index }) => ({ index, outcome: 'accepted' as const, code: '' }));
      link.send({ kind: 'verdicts', body: { leaseId: message.body.leaseId, items: verdicts } });
      judged += items.length;
    }
    expect({ wanted, judged, leases: leases.length }).toEqual({ wanted: 2, judged: 2, leases: 2 });
  });

  it('asks again as soon as it is paid', async () => {
    const world = await World.create();
    const provider = world.addProvider('alice', { settings: { creditShards: 1 } });
    const requester = new ScriptedRequester(world);
    await requester.publish();
    const { link, channelId } = await requester.worked(provider, [1]);
    link.send({ kind: 'pay', body: { voucher: requester.voucher(channelId, PRICE) } });
    await expectMessage(link, 'voucherAck');
    expect(await expectMessage(link, 'want')).toEqual({ maxShards: 1 });
  });
});

describe('what does not fit is left alone', () => {
  it.each([
    { what: 'another chain', changes: { chainId: 5 } },
    { what: 'other contracts', changes: { channels: `0x${'99'.repeat(20)}` as const } },
    { what: 'a price below the floor', changes: { priceWei: wei(1n) } },
    { what: 'other backends', changes: { backends: ['cuda' as const] } },
    { what: 'a deadline in the past', changes: { deadline: 5 } },
    { what: 'a model too large', changes: { modelBytes: 8 * 1024 ** 3 } },
  ])('$what', async ({ changes }) => {
    const world = await World.create();
    const provider = world.addProvider('alice', { settings: { minPriceWei: wei(10n) } });
    const requester = new ScriptedRequester(world);
    await requester.publish(changes);
    await until(() => provider.events.some(({ type }) => type === 'offer.seen'));
    await new Promise((resolve) => {
      setTimeout(resolve, 50);
    });
    expect(provider.peer.memory.opened).toEqual([]);
    expect(provider.provider.status()).toMatchObject({ state: 'looking' });
  });
});
