import { expect, it } from 'vitest';
import { jobOf, must, PRICE, rightAnswer, sums, World } from '#support/market/world.ts';

it('a job of 60 shards is computed by one provider, checked by the referee, paid by vouchers and settled on chain', async () => {
  const world = await World.create();
  const requester = await world.addRequester();
  const provider = world.addProvider('alice');
  const { job, outputs } = jobOf(60);
  const handle = must(await requester.requester.submit(job));
  const summary = must(await handle.done);
  expect(summary).toMatchObject({ shards: 60, verified: 60, checked: 60, refused: 0, failed: 0 });
  expect([...outputs.keys()]).toEqual(Array.from({ length: 60 }, (_, index) => index));
  for (const [index, value] of outputs) expect(value).toBe(rightAnswer(index));
  expect(summary.paidWei).toBe((60n * PRICE).toString());
  expect(summary.settledWei).toBe(summary.paidWei);
  expect(sums(world, requester)).toEqual({ promised: 60n * PRICE, onChain: 60n * PRICE });
  expect(world.chain.feedback).toEqual([{ agentId: 1n, value: 100 }]);
  expect(provider.ledger.money.earnings()).toMatchObject({
    earnedWei: 60n * PRICE,
    settledWei: 60n * PRICE,
    accepted: 60,
  });
});
