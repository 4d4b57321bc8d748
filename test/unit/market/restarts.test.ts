import { describe, expect, it } from 'vitest';
import { until } from '#support/market/until.ts';
import { honest, jobOf, must, PRICE, rightAnswer, sums, World, type Behaviour } from '#support/market/world.ts';

const slow: Behaviour = async (x, signal) => {
  await new Promise((resolve) => {
    setTimeout(resolve, 2);
  });
  return honest(x, signal);
};

describe('after a restart', () => {
  it('the requester goes on with its job: nothing is computed for nothing, nothing is paid twice', async () => {
    const world = await World.create();
    const requester = await world.addRequester();
    world.addProvider('alice', { behaviour: slow });
    const first = jobOf(150);
    must(await requester.requester.submit(first.job));
    await until(() => first.outputs.size > 30);
    requester.peer.die();
    await requester.requester.stop();
    requester.ledger.close();
    requester.peer.revive();
    Object.assign(requester, await world.startRequester(requester));
    expect(requester.requester.unfinished()).toMatchObject([{ jobId: 'job', state: 'running' }]);
    const second = jobOf(150);
    must(await must(await requester.requester.submit(second.job)).done);
    const all = new Map([...first.outputs, ...second.outputs]);
    expect([...all.keys()]).toEqual(Array.from({ length: 150 }, (_, index) => index));
    for (const [index, value] of all) expect(value).toBe(rightAnswer(index));
    // At least once, and not much more than once.
    expect(Math.min(...second.outputs.keys())).toBeGreaterThan(0);
    const { promised, onChain } = sums(world, requester);
    expect(onChain).toBe(promised);
    expect(promised).toBe(150n * PRICE);
    expect(world.chain.transactions.filter((name) => name === 'open')).toHaveLength(1);
  });

  it('the provider sends results again that were not judged, and is paid for them once', async () => {
    const world = await World.create();
    const requester = await world.addRequester();
    const alice = world.addProvider('alice', { behaviour: slow });
    const { job, outputs } = jobOf(150);
    const handle = must(await requester.requester.submit(job));
    await until(() => outputs.size > 20);
    alice.peer.die();
    await alice.provider.stop({ graceful: false });
    alice.ledger.close();
    alice.peer.revive();
    Object.assign(alice, world.startProvider(alice, { behaviour: slow }));
    must(await handle.done);
    expect(outputs.size).toBe(150);
    const { promised, onChain } = sums(world, requester);
    expect(onChain).toBe(promised);
    expect(promised).toBe(150n * PRICE);
    expect(alice.ledger.money.earnings()).toMatchObject({ earnedWei: promised, settledWei: promised });
    expect(alice.ledger.leases.open()).toEqual([]);
  });

  it('a job that is over is not begun again, nor a running one twice, nor another under its name', async () => {
    const world = await World.create();
    const requester = await world.addRequester();
    world.addProvider('alice');
    const { job } = jobOf(5);
    const handle = must(await requester.requester.submit(job));
    expect(await requester.requester.submit(job)).toMatchObject({ error: { code: 'work.job_running' } });
    must(await handle.done);
    expect(await requester.requester.submit(job)).toMatchObject({ error: { code: 'work.job_over' } });
    const { job: other } = jobOf(5000, { jobId: 'other' });
    must(await requester.requester.submit(other));
    await requester.requester.stop();
    requester.ledger.close();
    Object.assign(requester, await world.startRequester(requester));
    const changed = { ...other, checks: 'adaptive' as const };
    expect(await requester.requester.submit(changed)).toMatchObject({ error: { code: 'work.job_changed' } });
  });

  it('a settlement whose receipt was lost is found on chain and written down', async () => {
    const world = await World.create();
    const requester = await world.addRequester({ settings: { closePatienceMs: 200 } });
    const alice = world.addProvider('alice');
    world.chain.away = false;
    const handle = must(await requester.requester.submit(jobOf(20).job));
    await until(() => alice.ledger.money.earnings().earnedWei === 20n * PRICE);
    await alice.provider.stop({ graceful: false });
    await handle.done;
    // The transaction of a process that died before it could write the row.
    const [unsettled] = alice.ledger.money.unsettled();
    if (unsettled !== undefined) must(await alice.account.chain.channels.settle([unsettled.voucher]));
    alice.ledger.close();
    Object.assign(alice, world.startProvider(alice));
    await until(() => alice.ledger.money.earnings().settledWei === 20n * PRICE);
    expect(alice.ledger.money.unsettled()).toEqual([]);
    const { promised, onChain } = sums(world, requester);
    expect(onChain).toBe(promised);
  });
});

describe('a full disk', () => {
  it('of the provider pauses it with a coded error and loses nothing; with room again it goes on', async () => {
    const world = await World.create();
    const requester = await world.addRequester({ settings: { closePatienceMs: 300 } });
    const tight = world.addProvider('tight', { ledger: { maxPages: 24 } });
    const { job, outputs } = jobOf(300);
    const handle = must(await requester.requester.submit(job));
    await until(() => tight.events.some(({ type }) => type === 'provider.paused'));
    const paused = tight.events.find((event) => event.type === 'provider.paused');
    expect(paused).toMatchObject({ error: { code: 'ledger.disk_full' } });
    expect(tight.provider.status()).toMatchObject({ state: 'paused' });
    await tight.provider.stop({ graceful: false });
    tight.ledger.close();
    Object.assign(tight, world.startProvider(tight));
    must(await handle.done);
    expect(outputs.size).toBe(300);
    const { promised, onChain } = sums(world, requester);
    expect(onChain).toBe(promised);
    expect(promised).toBe(300n * PRICE);
  });

  it('of the requester pauses the job with a coded error; started with room again it goes on', async () => {
    const world = await World.create();
    const requester = await world.addRequester({ ledger: { maxPages: 40 } });
    world.addProvider('alice');
    const first = jobOf(400);
    must(await requester.requester.submit(first.job));
    await until(() => requester.events.some(({ type }) => type === 'job.paused'));
    expect(requester.events.find(({ type }) => type === 'job.paused')).toMatchObject({
      error: { code: 'ledger.disk_full' },
    });
    await requester.requester.stop();
    requester.ledger.close();
    Object.assign(requester, await world.startRequester(requester));
    const second = jobOf(400);
    must(await must(await requester.requester.submit(second.job)).done);
    expect(new Map([...first.outputs, ...second.outputs]).size).toBe(400);
    const { promised, onChain } = sums(world, requester);
    expect(onChain).toBe(promised);
    expect(promised).toBe(400n * PRICE);
  });
});
