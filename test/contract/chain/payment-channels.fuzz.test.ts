import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Hex } from '#shared/units.ts';
import {
  batchData,
  channelsContract,
  DAY,
  forContract,
  randomReference,
  openData,
  settleData,
  TestChain,
  type Actor,
} from './evm-harness.ts';

/** What the contract must hold true, kept beside it in the plainest form. */
interface Model {
  readonly payer: Actor;
  readonly payee: Actor;
  deposit: bigint;
  settled: bigint;
  closed: boolean;
  noticeAt: number | undefined;
}

type Step =
  | { readonly kind: 'open'; readonly payer: number; readonly payee: number; readonly amount: bigint }
  | { readonly kind: 'topUp'; readonly channel: number; readonly amount: bigint; readonly by: number }
  | {
      readonly kind: 'settle' | 'close';
      readonly channel: number;
      readonly amount: bigint;
      readonly by: number;
      readonly signer: number;
    }
  | { readonly kind: 'batch'; readonly by: number; readonly vouchers: readonly (readonly [number, bigint, number])[] }
  | { readonly kind: 'notice' | 'refund'; readonly channel: number; readonly by: number }
  | { readonly kind: 'pass'; readonly seconds: number };

const actor = fc.nat({ max: 2 });
const channel = fc.nat({ max: 5 });
const amount = fc.bigInt({ min: 0n, max: 12n });
/** Mostly the right key and the right sender, or the walk stays at the door. */
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('open' as const), payer: actor, payee: actor, amount }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('topUp' as const), channel, amount, by: actor }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom('settle' as const, 'close' as const),
      channel,
      amount,
      by: actor,
      signer: actor,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('batch' as const),
      by: actor,
      vouchers: fc.array(fc.tuple(channel, amount, actor), { maxLength: 5 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom('notice' as const, 'refund' as const), channel, by: actor }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('pass' as const), seconds: fc.constantFrom(60, DAY) }) },
);

let chain: TestChain;

beforeAll(async () => {
  chain = await TestChain.create({ actors: 3 });
});

class Walk {
  readonly channels: { readonly id: Hex; readonly model: Model }[] = [];
  readonly #start: { readonly balances: readonly bigint[]; readonly contract: bigint };

  constructor(balances: readonly bigint[], contract: bigint) {
    this.#start = { balances, contract };
  }

  static async begin(): Promise<Walk> {
    const balances = await Promise.all(chain.actors.map((one) => chain.balance(one.address)));
    return new Walk(balances, await chain.balance(chain.contracts.channels));
  }

  at(index: number) {
    return this.channels[index % Math.max(1, this.channels.length)];
  }

  /** Holds balances and storage against the model, to the wei. */
  async check(): Promise<void> {
    const expected = [...this.#start.balances];
    let held = this.#start.contract;
    for (const { id, model } of this.channels) {
      const [from, to] = [chain.actors.indexOf(model.payer), chain.actors.indexOf(model.payee)];
      const locked = model.closed ? 0n : model.deposit - model.settled;
      expected[from] = (expected[from] ?? 0n) - model.settled - locked;
      expected[to] = (expected[to] ?? 0n) + model.settled;
      held += locked;
      const stored = await chain.read(chain.contracts.channels, channelsContract, 'getChannel', [id]);
      expect(stored.settledWei).toBe(model.settled);
      expect(stored.depositWei).toBe(model.closed ? 0n : model.deposit);
      expect(model.settled <= model.deposit).toBe(true);
    }
    const balances = await Promise.all(chain.actors.map((one) => chain.balance(one.address)));
    expect(balances).toEqual(expected);
    expect(await chain.balance(chain.contracts.channels)).toBe(held);
  }
}

const by = (index: number): Actor => chain.actors[index]!;
const onChannels = (from: Actor, data: Hex) => chain.send(from, chain.contracts.channels, data);

/** Whether the model would pay this voucher. */
function payable(model: Model, from: Actor, amountWei: bigint, signer: Actor): boolean {
  const inBounds = amountWei > model.settled && amountWei <= model.deposit;
  return !model.closed && from === model.payee && signer === model.payer && inBounds;
}

async function take(walk: Walk, next: Step): Promise<void> {
  switch (next.kind) {
    case 'open': {
      const [payer, payee] = [by(next.payer), by(next.payee)];
      const reference = randomReference();
      const outcome = await onChannels(payer, openData(payee.address, payer.address, next.amount, reference));
      expect(outcome.ok).toBe(payer !== payee && next.amount > 0n);
      if (!outcome.ok) return;
      const id = await chain.read(chain.contracts.channels, channelsContract, 'channelIdOf', [
        payer.address,
        reference,
      ]);
      const model = { payer, payee, deposit: next.amount, settled: 0n, closed: false, noticeAt: undefined };
      walk.channels.push({ id, model });
      return;
    }
    case 'pass':
      return chain.pass(next.seconds);
    case 'batch': {
      const chosen = next.vouchers.flatMap(([index, amountWei, signer]) => {
        const found = walk.at(index);
        return found ? [{ ...found, amountWei, signer: by(signer) }] : [];
      });
      const vouchers = await Promise.all(chosen.map((one) => chain.voucher(one.id, one.amountWei, one.signer)));
      expect((await onChannels(by(next.by), batchData(vouchers))).ok).toBe(true);
      for (const { model, amountWei, signer } of chosen) {
        if (payable(model, by(next.by), amountWei, signer)) model.settled = amountWei;
      }
      return;
    }
    case 'topUp':
    case 'settle':
    case 'close':
    case 'notice':
    case 'refund':
      return onOne(walk, next);
  }
}

async function onOne(walk: Walk, next: Exclude<Step, { readonly kind: 'open' | 'pass' | 'batch' }>): Promise<void> {
  const found = walk.at(next.channel);
  if (!found) return;
  const { id, model } = found;
  const from = by(next.by);
  switch (next.kind) {
    case 'topUp': {
      const { ok } = await onChannels(from, channelsContract.encode('topUp', [id, next.amount]));
      expect(ok).toBe(!model.closed && from === model.payer && model.noticeAt === undefined && next.amount > 0n);
      if (ok) model.deposit += next.amount;
      return;
    }
    case 'settle': {
      const { ok } = await onChannels(from, settleData(await chain.voucher(id, next.amount, by(next.signer))));
      expect(ok).toBe(payable(model, from, next.amount, by(next.signer)));
      if (ok) model.settled = next.amount;
      return;
    }
    case 'close': {
      const voucher = forContract(await chain.voucher(id, next.amount, by(next.signer)));
      const { ok } = await onChannels(from, channelsContract.encode('closeWithVoucher', [voucher]));
      const pays = payable(model, from, next.amount, by(next.signer));
      expect(ok).toBe(!model.closed && from === model.payee && (pays || next.amount <= model.settled));
      if (ok && pays) model.settled = next.amount;
      if (ok) model.closed = true;
      return;
    }
    case 'notice': {
      const { ok } = await onChannels(from, channelsContract.encode('requestClose', [id]));
      expect(ok).toBe(!model.closed && from === model.payer && model.noticeAt === undefined);
      if (ok) model.noticeAt = await chain.now();
      return;
    }
    case 'refund': {
      const { ok } = await onChannels(from, channelsContract.encode('refund', [id]));
      const ripe = model.noticeAt !== undefined && (await chain.now()) >= model.noticeAt + DAY;
      expect(ok).toBe(!model.closed && from === model.payer && ripe);
      if (ok) model.closed = true;
    }
  }
}

describe('payment channels under random use', () => {
  it('never pay out more than was paid in, to anybody, whatever is sent in which order', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
        const walk = await Walk.begin();
        for (const next of steps) await take(walk, next);
        await walk.check();
      }),
      { numRuns: 60 },
    );
  }, 60_000);
});
