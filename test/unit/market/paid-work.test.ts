import { describe, expect, it } from 'vitest';
import type { ProviderNode, RequesterNode } from '#support/market/world.ts';
import {
  honest,
  inputOf,
  jobOf,
  liar,
  must,
  PRICE,
  rightAnswer,
  sums,
  World,
  type Behaviour,
} from '#support/market/world.ts';
import { until } from '#support/market/until.ts';
import { wei } from '#shared/units.ts';

const range = (count: number) => Array.from({ length: count }, (_, index) => index);

function expectAll(outputs: Map<number, number>, count: number): void {
  expect([...outputs.keys()]).toEqual(range(count));
  for (const [index, value] of outputs) expect(value).toBe(rightAnswer(index));
}

function expectEqualSums(world: World, requester: RequesterNode, jobId?: string): bigint {
  const { promised, onChain } = sums(world, requester, jobId);
  expect(onChain).toBe(promised);
  return promised;
}

const earned = (node: ProviderNode) => node.ledger.money.earnings();

/** Never answers, and gives up only when it is stopped. */
const stuck: Behaviour = (_x, signal) =>
  new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(new Error('stopped')), { once: true });
  });
const slow =
  (ms: number): Behaviour =>
  async (x) => {
    await new Promise((resolve) => {
      setTimeout(resolve, ms);
    });
    return honest(x, new AbortController().signal);
  };

describe('paid work', () => {
  it('verifies each shard by two peers that agree, and pays both', async () => {
    const world = await World.create();
    const requester = await world.addRequester({ settings: { patienceMs: 5000 } });
    const alice = world.addProvider('alice');
    const bob = world.addProvider('bob');
    const { job, outputs } = jobOf(80);
    const summary = must(await must(await requester.requester.submit(job)).done);
    expectAll(outputs, 80);
    expect(summary).toMatchObject({ verified: 80, agreed: 80, refused: 0 });
    expect(earned(alice).earnedWei).toBe(80n * PRICE);
    expect(earned(bob).earnedWei).toBe(80n * PRICE);
    expect(expectEqualSums(world, requester)).toBe(160n * PRICE);
  });

  it('leaves a liar unpaid for its lies and remembers them; every output is right all the same', async () => {
    const world = await World.create();
    const requester = await world.addRequester({ settings: { patienceMs: 1000 } });
    const alice = world.addProvider('alice');
    const mallory = world.addProvider('mallory', { behaviour: liar(5) });
    const { job, outputs } = jobOf(100);
    const summary = must(await must(await requester.requester.submit(job)).done);
    expectAll(outputs, 100);
    const { lies, shunnedUntil } = requester.ledger.peer(mallory.peer.peerId);
    expect(lies).toBeGreaterThanOrEqual(3);
    expect(shunnedUntil).toBeGreaterThan(Date.now());
    expect(requester.ledger.peer(alice.peer.peerId).lies).toBe(0);
    expect(summary.refused).toBe(lies);
    expect(earned(mallory)).toMatchObject({ refused: lies });
    expect(earned(mallory).earnedWei).toBe(BigInt(earned(mallory).accepted) * PRICE);
    expect(earned(alice).earnedWei).toBe(100n * PRICE);
    // A ban by the network would cut off the very conversation that brings the liar what its right answers earned.
    expect(requester.peer.reported).toEqual([]);
    expectEqualSums(world, requester);
  });

  it('trusts a peer that has proven itself ten times, and looks again now and then', async () => {
    const world = await World.create();
    const requester = await world.addRequester({ settings: { patienceMs: 1 } });
    world.addProvider('alice', { behaviour: slow(1), settings: { leaseTargetMs: 20 } });
    const { job, outputs } = jobOf(200, { checks: 'adaptive' });
    const summary = must(await must(await requester.requester.submit(job)).done);
    expectAll(outputs, 200);
    expect(summary.checked).toBeGreaterThanOrEqual(10);
    expect(summary.trusted).toBeGreaterThan(100);
    expect(summary.checked + summary.trusted).toBe(200);
    expect(expectEqualSums(world, requester)).toBe(200n * PRICE);
  });

  it('computes everything again where the policy is referee', async () => {
    const world = await World.create();
    const requester = await world.addRequester({ settings: { patienceMs: 60_000 } });
    world.addProvider('alice');
    const summary = must(await must(await requester.requester.submit(jobOf(30, { checks: 'referee' }).job)).done);
    expect(summary).toMatchObject({ checked: 30, agreed: 0, trusted: 0 });
  });

  it('goes on without a peer that vanishes midway', async () => {
    const world = await World.create();
    const requester = await world.addRequester({ settings: { closePatienceMs: 500 } });
    const alice = world.addProvider('alice', { behaviour: slow(2) });
    world.addProvider('bob', { behaviour: slow(2) });
    const { job, outputs } = jobOf(120);
    const handle = must(await requester.requester.submit(job));
    await until(() => outputs.size > 10);
    alice.peer.die();
    await handle.done;
    expectAll(outputs, 120);
    const { promised, onChain } = sums(world, requester);
    const held = alice.ledger.money.unsettled().reduce((sum, { unsettledWei }) => sum + unsettledWei, 0n);
    // What alice was promised last may not have reached her; what did is hers to settle.
    expect(onChain + held).toBeLessThanOrEqual(promised);
    expect(world.chain.balance(requester.account.address)).toBeGreaterThan(0n);
  });

  it('takes shards back from a peer that sits on them, when the lease runs out', async () => {
    const world = await World.create();
    const requester = await world.addRequester({ settings: { leaseSeconds: 1 } });
    const sloth = world.addProvider('sloth', { behaviour: stuck });
    const { job, outputs } = jobOf(20);
    const handle = must(await requester.requester.submit(job));
    await until(() => requester.events.some(({ type }) => type === 'lease.granted'));
    world.addProvider('bob');
    must(await handle.done);
    expectAll(outputs, 20);
    expect(requester.events.some(({ type }) => type === 'lease.expired' || type === 'shard.refused')).toBe(true);
    expect(earned(sloth).earnedWei).toBe(0n);
    expectEqualSums(world, requester);
  });

  it('lets the referee do what no peer can compute', async () => {
    const world = await World.create();
    const requester = await world.addRequester();
    const broken: Behaviour = (x) => (x === 7 ? NaN : honest(x, new AbortController().signal));
    world.addProvider('alice', { behaviour: broken });
    const { job, outputs } = jobOf(12);
    const summary = must(await must(await requester.requester.submit(job)).done);
    expectAll(outputs, 12);
    expect(summary).toMatchObject({ verified: 12, refused: 1 });
    expect(expectEqualSums(world, requester)).toBe(11n * PRICE);
  });

  it('ends an endless job when it is told to finish up, with everything paid', async () => {
    const world = await World.create();
    const requester = await world.addRequester();
    world.addProvider('alice', { behaviour: slow(1) });
    const { job, outputs } = jobOf(undefined);
    const handle = must(await requester.requester.submit(job));
    await until(() => outputs.size > 20);
    handle.finishUp();
    const summary = must(await handle.done);
    expectAll(outputs, summary.verified);
    expect(expectEqualSums(world, requester)).toBe(BigInt(summary.verified) * PRICE);
  });

  it('ends where the source ends, though nobody knew the count', async () => {
    const world = await World.create();
    const requester = await world.addRequester();
    world.addProvider('alice');
    const { job, outputs } = jobOf(undefined, {
      source: { inputs: (index) => (index < 33 ? inputOf(index) : undefined) },
    });
    must(await must(await requester.requester.submit(job)).done);
    expectAll(outputs, 33);
  });

  it('stops when the budget is spent, says so, and never spends more', async () => {
    const world = await World.create();
    const requester = await world.addRequester();
    world.addProvider('alice');
    const { job, outputs } = jobOf(500, { budgetWei: wei(70n * PRICE) });
    const done = await must(await requester.requester.submit(job)).done;
    expect(done).toMatchObject({ ok: false, error: { code: 'work.budget_exhausted' } });
    expectAll(outputs, 70);
    expect(expectEqualSums(world, requester)).toBe(70n * PRICE);
    expect(world.chain.balance(requester.account.address)).toBe(10n ** 24n - 70n * PRICE);
  });

  it('tops channels up as they run low', async () => {
    const world = await World.create();
    const requester = await world.addRequester();
    world.addProvider('alice', { behaviour: slow(1) });
    const { job } = jobOf(300, { budgetWei: wei(400n * PRICE) });
    must(await must(await requester.requester.submit(job)).done);
    expect(world.chain.transactions.filter((name) => name === 'topUp').length).toBeGreaterThan(1);
    expect(expectEqualSums(world, requester)).toBe(300n * PRICE);
  });

  it('refuses a node that is not registered, and one whose pay would go elsewhere', async () => {
    const world = await World.create();
    const requester = await world.addRequester();
    const stranger = world.addProvider('stranger', { registered: false });
    const impostor = world.addProvider('impostor', { registered: false });
    world.chain.register(impostor.peer.peerId, stranger.account.address);
    must(await requester.requester.submit(jobOf(5).job));
    await until(() => requester.events.filter(({ type }) => type === 'peer.refused').length >= 2);
    const codes = requester.events.flatMap((event) => (event.type === 'peer.refused' ? [event.error.code] : []));
    expect(new Set(codes)).toEqual(new Set(['work.identity_unknown', 'work.payee_mismatch']));
    expect(world.chain.transactions).toEqual([]);
  });

  it('waits for a chain that is away at the beginning', async () => {
    const world = await World.create();
    const requester = await world.addRequester();
    const alice = world.addProvider('alice');
    world.chain.away = true;
    const { job, outputs } = jobOf(10);
    const handle = must(await requester.requester.submit(job));
    await until(() => alice.events.some(({ type }) => type === 'work.ended'));
    world.chain.away = false;
    must(await handle.done);
    expectAll(outputs, 10);
    expectEqualSums(world, requester);
  });

  it('works and is paid by voucher while the chain is away, and settles when it is back', async () => {
    const world = await World.create();
    const requester = await world.addRequester({ settings: { closePatienceMs: 200 } });
    const alice = world.addProvider('alice', {
      behaviour: slow(1),
      settings: { settlement: { amountWei: wei(10n ** 30n), ageMs: 3_600_000 } },
    });
    const { job, outputs } = jobOf(60);
    const handle = must(await requester.requester.submit(job));
    await until(() => outputs.size > 5);
    world.chain.away = true;
    await handle.done;
    expectAll(outputs, 60);
    expect(earned(alice)).toMatchObject({ earnedWei: 60n * PRICE, settledWei: 0n });
    expect(await alice.provider.settleNow()).toMatchObject({ ok: false, error: { code: 'chain.unreachable' } });
    world.chain.away = false;
    must(await alice.provider.settleNow());
    expect(earned(alice).settledWei).toBe(60n * PRICE);
    expectEqualSums(world, requester);
  });

  it('stops gracefully: finishes, is paid, settles, and gives back the rest', async () => {
    const world = await World.create();
    const requester = await world.addRequester({ settings: { closePatienceMs: 300 } });
    const alice = world.addProvider('alice', { behaviour: slow(2) });
    const { job, outputs } = jobOf(120);
    const handle = must(await requester.requester.submit(job));
    await until(() => outputs.size > 10);
    await alice.provider.stop({ graceful: true });
    expect(alice.ledger.leases.open()).toEqual([]);
    expect(earned(alice).settledWei).toBe(earned(alice).earnedWei);
    await until(() => requester.events.some((event) => event.type === 'peer.left' && event.saidSo));
    world.addProvider('bob');
    await handle.done;
    expectAll(outputs, 120);
  });
});
