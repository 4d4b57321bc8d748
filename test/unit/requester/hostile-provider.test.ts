import { describe, expect, it } from 'vitest';
import type { JobHandle } from '#core/requester/job.ts';
import type { LeaseId } from '#shared/protocol/work-messages.ts';
import { anyDigest, ScriptedProvider } from '#support/market/scripted-provider.ts';
import { expectMessage } from '#support/market/scripted-requester.ts';
import { until } from '#support/market/until.ts';
import { jobOf, must, PRICE, rightAnswer, World, type RequesterNode } from '#support/market/world.ts';

interface Scene {
  readonly world: World;
  readonly requester: RequesterNode;
  readonly provider: ScriptedProvider;
  readonly handle: JobHandle;
  readonly outputs: Map<number, number>;
}

async function setUp(count: number | undefined, settings = {}): Promise<Scene> {
  const world = await World.create();
  const requester = await world.addRequester({ settings: { patienceMs: 1, closePatienceMs: 200, ...settings } });
  const { job, outputs } = jobOf(count);
  const handle = must(await requester.requester.submit(job));
  return { world, requester, provider: new ScriptedProvider(world, requester), handle, outputs };
}

const charged = ({ requester, provider }: Scene) =>
  requester.peer.reported.filter(({ peer }) => peer === provider.peer.peerId).map(({ misdeed }) => misdeed);

/** The job is none the worse: an honest provider does it all. */
async function expectUnharmed({ world, handle, outputs }: Scene, count: number): Promise<void> {
  world.addProvider('honest');
  must(await handle.done);
  expect(outputs.size).toBe(count);
  for (const [index, value] of outputs) expect(value).toBe(rightAnswer(index));
}

describe('a join is refused', () => {
  it('for an offer that does not exist', async () => {
    const { provider } = await setUp(3);
    const link = await provider.open();
    await provider.sayJoin(link, 'ab'.repeat(16));
    expect(await expectMessage(link, 'refuse')).toMatchObject({ code: 'work.offer_unknown' });
  });

  it('that somebody else signed', async () => {
    const scene = await setUp(3);
    const other = scene.world.network.peer('other');
    const link = await scene.provider.open();
    await scene.provider.sayJoin(link, scene.handle.offerId, {
      sealed: await other.network.seal('join', Uint8Array.of(), 1000),
    });
    expect((await link.next(2000)).ok).toBe(false);
    expect(charged(scene)).toEqual(['invalid_message']);
  });

  it('whose first word is something else', async () => {
    const scene = await setUp(3);
    const link = await scene.provider.open();
    link.send({ kind: 'want', body: { maxShards: 1 } });
    expect((await link.next(2000)).ok).toBe(false);
    expect(charged(scene)).toEqual(['invalid_message']);
  });
});

describe('a conversation is ended and charged', () => {
  it('where outputs do not have the digest they come with', async () => {
    const scene = await setUp(4);
    const { link } = await scene.provider.join(scene.handle.offerId);
    const lease = await scene.provider.takeLease(link, 4);
    scene.provider.answer(link, lease, [{ index: 0, y: 1, digest: anyDigest('something else') }]);
    expect((await link.next(2000)).ok).toBe(false);
    expect(charged(scene)).toEqual(['invalid_message']);
    await expectUnharmed(scene, 4);
  });

  it('where the statement names other outputs than were sent', async () => {
    const scene = await setUp(4);
    const { link } = await scene.provider.join(scene.handle.offerId);
    const lease = await scene.provider.takeLease(link, 4);
    scene.provider.answer(link, lease, scene.provider.rightAnswers(lease));
    await scene.provider.sayDone(link, lease, { outputs: [{ index: 0, digest: anyDigest('other') }] });
    await until(() => charged(scene).length > 0);
    expect(charged(scene)).toEqual(['invalid_message']);
  });

  it('where more wants are open than may be', async () => {
    const scene = await setUp(1);
    const { link } = await scene.provider.join(scene.handle.offerId);
    // The only shard is taken, so every further want stays open.
    await scene.provider.takeLease(link, 1);
    for (let count = 0; count < 5; count += 1) link.send({ kind: 'want', body: { maxShards: 1 } });
    await until(() => charged(scene).length > 0);
    expect(charged(scene)).toEqual(['too_much']);
  });

  it('where a message of the other side comes', async () => {
    const scene = await setUp(4);
    const { link } = await scene.provider.join(scene.handle.offerId);
    link.send({ kind: 'wait', body: { retryAfterMs: 1 } });
    expect((await link.next(2000)).ok).toBe(false);
    expect(charged(scene)).toEqual(['invalid_message']);
  });
});

describe('an answer is worth nothing', () => {
  it('to a lease that was never given', async () => {
    const scene = await setUp(4);
    const { link } = await scene.provider.join(scene.handle.offerId);
    scene.provider.answer(link, { leaseId: 'cd'.repeat(16) as LeaseId }, [{ index: 0, y: 1 }]);
    const verdicts = await expectMessage(link, 'verdicts');
    expect(verdicts.items).toEqual([{ index: 0, outcome: 'refused', code: 'work.lease_unknown' }]);
    await expectUnharmed(scene, 4);
  });

  it('to a shard that was leased to somebody else', async () => {
    const scene = await setUp(4);
    const { link } = await scene.provider.join(scene.handle.offerId);
    const lease = await scene.provider.takeLease(link, 1);
    scene.provider.answer(link, lease, [{ index: 3, y: rightAnswer(3) }]);
    const verdicts = await expectMessage(link, 'verdicts');
    expect(verdicts.items).toEqual([{ index: 3, outcome: 'refused', code: 'work.not_leased' }]);
  });

  it('to another peer’s lease', async () => {
    const scene = await setUp(4);
    const thief = new ScriptedProvider(scene.world, scene.requester, 'thief');
    const { link } = await scene.provider.join(scene.handle.offerId);
    const lease = await scene.provider.takeLease(link, 2);
    const theirs = await thief.join(scene.handle.offerId);
    thief.answer(theirs.link, lease, thief.rightAnswers(lease));
    const verdicts = await expectMessage(theirs.link, 'verdicts');
    expect(verdicts.items.every(({ outcome }) => outcome === 'refused')).toBe(true);
  });

  it('that is wrong: it is called a lie, unpaid, and the right output is delivered', async () => {
    const scene = await setUp(2);
    const { link } = await scene.provider.join(scene.handle.offerId);
    const lease = await scene.provider.takeLease(link, 2);
    scene.provider.answer(link, lease, [
      { index: 0, y: 99 },
      { index: 1, y: rightAnswer(1) },
    ]);
    const seen = new Map<number, string>();
    while (seen.size < 2)
      for (const item of (await expectMessage(link, 'verdicts')).items) seen.set(item.index, item.outcome + item.code);
    expect([...seen].sort(([a], [b]) => a - b)).toEqual([
      [0, 'refusedwork.deviant'],
      [1, 'accepted'],
    ]);
    expect((await expectMessage(link, 'pay')).voucher.cumulativeWei).toBe(PRICE);
    await scene.handle.done;
    expect(scene.outputs.get(0)).toBe(rightAnswer(0));
    expect(scene.requester.ledger.peer(scene.provider.peer.peerId).lies).toBe(1);
  });
});

describe('what is sent twice counts once', () => {
  it('the verdict is said again, the pay is not raised', async () => {
    const scene = await setUp(40);
    const { link } = await scene.provider.join(scene.handle.offerId);
    const lease = await scene.provider.takeLease(link, 2);
    scene.provider.answer(link, lease, scene.provider.rightAnswers(lease));
    const first = await expectMessage(link, 'pay');
    expect(first.voucher.cumulativeWei).toBe(2n * PRICE);
    scene.provider.answer(link, lease, scene.provider.rightAnswers(lease));
    const again = await expectMessage(link, 'verdicts');
    expect(again.items.map(({ outcome }) => outcome)).toEqual(['accepted', 'accepted']);
    expect(scene.requester.ledger.channels.ofJob('job')).toMatchObject([{ cumulativeWei: 2n * PRICE }]);
  });

  it('a second conversation replaces the first, and what it does not announce is given back', async () => {
    const scene = await setUp(40);
    const { link } = await scene.provider.join(scene.handle.offerId);
    const lost = await scene.provider.takeLease(link, 2);
    const kept = await scene.provider.takeLease(link, 2);
    const second = await scene.provider.join(scene.handle.offerId, [kept.leaseId]);
    expect((await link.next(2000)).ok).toBe(false);
    await until(() => scene.requester.ledger.grant(lost.leaseId)?.state === 'returned');
    expect(scene.requester.ledger.grant(kept.leaseId)?.state).toBe('open');
    scene.provider.answer(second.link, kept, scene.provider.rightAnswers(kept));
    expect((await expectMessage(second.link, 'pay')).voucher.cumulativeWei).toBe(2n * PRICE);
    // What was given back comes first.
    const next = await scene.provider.takeLease(second.link, 2);
    expect(next.statement.shards.map(({ index }) => index)).toEqual(lost.statement.shards.map(({ index }) => index));
  });

  it('the newest voucher stands in the welcome', async () => {
    const scene = await setUp(40);
    const { link } = await scene.provider.join(scene.handle.offerId);
    const lease = await scene.provider.takeLease(link, 2);
    scene.provider.answer(link, lease, scene.provider.rightAnswers(lease));
    const { voucher } = await expectMessage(link, 'pay');
    const second = await scene.provider.join(scene.handle.offerId);
    expect(second.welcome.voucher).toEqual(voucher);
  });
});

describe('leases', () => {
  it('that run out go to others; a late answer is still taken while it helps', async () => {
    const scene = await setUp(2, { leaseSeconds: 1, patienceMs: 60_000 });
    const { link } = await scene.provider.join(scene.handle.offerId);
    const lease = await scene.provider.takeLease(link, 2);
    await until(() => scene.requester.events.some(({ type }) => type === 'lease.expired'));
    scene.provider.answer(link, lease, scene.provider.rightAnswers(lease));
    await until(() => scene.requester.events.filter(({ type }) => type === 'shard.answered').length === 2);
    // Held against a second peer's answers, and paid.
    scene.world.addProvider('honest');
    expect((await expectMessage(link, 'pay')).voucher.cumulativeWei).toBeGreaterThanOrEqual(PRICE);
  });

  it('of a peer that vanishes and stays away go to others, and it is charged when they run out', async () => {
    const scene = await setUp(undefined, { leaseSeconds: 1, rejoinMs: 100 });
    const { link } = await scene.provider.join(scene.handle.offerId);
    await scene.provider.takeLease(link, 3);
    scene.provider.peer.die();
    scene.world.addProvider('honest');
    await until(() => scene.outputs.size >= 3);
    await until(() => charged(scene).length > 0);
    expect(charged(scene)).toEqual(['broken_lease']);
  });

  it('of a peer that says that it leaves go to others at once, without blame', async () => {
    const scene = await setUp(undefined, { leaseSeconds: 1, rejoinMs: 60_000 });
    const { link } = await scene.provider.join(scene.handle.offerId);
    const lease = await scene.provider.takeLease(link, 3);
    link.send({ kind: 'leave', body: { code: '' } });
    await until(() => scene.requester.ledger.grant(lease.leaseId)?.state === 'returned');
    scene.world.addProvider('honest');
    await until(() => scene.outputs.size >= 3);
    expect(charged(scene)).toEqual([]);
  });

  it('are no longer given to a peer that fails at everything', async () => {
    const scene = await setUp(40);
    const { link } = await scene.provider.join(scene.handle.offerId);
    const lease = await scene.provider.takeLease(link, 16);
    const items = lease.statement.shards.map(({ index }) => ({
      index,
      code: 'compute.memory',
      layout: 0,
      computeMicros: 0,
    }));
    link.send({ kind: 'results', body: { leaseId: lease.leaseId, layouts: [], items } });
    expect(await expectMessage(link, 'refuse')).toMatchObject({ code: 'work.too_many_errors' });
    await expectUnharmed(scene, 40);
  });
});
