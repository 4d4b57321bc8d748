import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Hex } from '#shared/units.ts';
import {
  batchData,
  channelsContract,
  DAY,
  forContract,
  openData,
  randomReference,
  settleData,
  type TestChain,
  type Actor,
} from './evm-harness.ts';

/** One channel as the contract must have it, kept beside it in the plainest form. */
interface Model {
  readonly id: Hex;
  readonly payer: Actor;
  readonly payee: Actor;
  deposit: bigint;
  settled: bigint;
  closed: boolean;
  noticeAt: number | undefined;
}

/** Index of an actor, or RIGHT for whoever may do the thing. */
type Who = number;
const RIGHT: Who = -1;

export type Step =
  | { readonly kind: 'open'; readonly payer: number; readonly payee: number; readonly amount: bigint }
  | { readonly kind: 'topUp'; readonly channel: number; readonly amount: bigint; readonly by: Who }
  | {
      readonly kind: 'settle' | 'close';
      readonly channel: number;
      readonly amount: bigint;
      readonly by: Who;
      readonly signer: Who;
    }
  | { readonly kind: 'batch'; readonly by: number; readonly vouchers: readonly (readonly [number, bigint, Who])[] }
  | { readonly kind: 'notice' | 'refund'; readonly channel: number; readonly by: Who }
  | { readonly kind: 'pass'; readonly seconds: number };

const actor = fc.nat({ max: 2 });
const channel = fc.nat({ max: 2 });
const amount = fc.bigInt({ min: 0n, max: 12n });
const deposit = fc.bigInt({ min: 0n, max: 9n });
/** Mostly the right party, or the walk stays at the door. */
const by: fc.Arbitrary<Who> = fc.oneof({ weight: 5, arbitrary: fc.constant(RIGHT) }, { weight: 1, arbitrary: actor });

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('open' as const), payer: actor, payee: actor, amount: deposit }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('topUp' as const), channel, amount: deposit, by }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('settle' as const), channel, amount, by, signer: by }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('close' as const), channel, amount, by, signer: by }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('batch' as const),
      by: actor,
      vouchers: fc.array(fc.tuple(channel, amount, by), { maxLength: 6 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constantFrom('notice' as const, 'refund' as const), channel, by }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('pass' as const), seconds: fc.constantFrom(60, DAY, DAY) }) },
);

/** Notice, its time, and the refund: too rare a meeting to be left to chance. */
const lapse = channel.map((index): readonly Step[] => [
  { kind: 'notice', channel: index, by: RIGHT },
  { kind: 'pass', seconds: DAY },
  { kind: 'refund', channel: index, by: RIGHT },
]);

export const steps: fc.Arbitrary<readonly Step[]> = fc
  .array(fc.oneof({ weight: 12, arbitrary: step.map((one) => [one]) }, { weight: 1, arbitrary: lapse }), {
    minLength: 10,
    maxLength: 40,
  })
  .map((parts) => parts.flat());

/** Takes steps on the contract and on the model, and holds one against the other. Throws AssertionError where they differ. */
export class ChannelWalk {
  readonly #chain: TestChain;
  readonly #models: Model[] = [];
  readonly #balances: readonly bigint[];
  readonly #held: bigint;
  /** Steps that changed something, by kind, over all walks that share it. */
  readonly #tally: Map<string, number>;

  private constructor(chain: TestChain, balances: readonly bigint[], held: bigint, tally: Map<string, number>) {
    this.#chain = chain;
    this.#balances = balances;
    this.#held = held;
    this.#tally = tally;
  }

  static async begin(chain: TestChain, tally: Map<string, number>): Promise<ChannelWalk> {
    const balances = await Promise.all(chain.actors.map((one) => chain.balance(one.address)));
    return new ChannelWalk(chain, balances, await chain.balance(chain.contracts.channels), tally);
  }

  async take(next: Step): Promise<void> {
    switch (next.kind) {
      case 'open':
        return this.#open(next);
      case 'pass':
        return this.#chain.pass(next.seconds);
      case 'batch':
        return this.#batch(next);
      case 'topUp':
      case 'settle':
      case 'close':
      case 'notice':
      case 'refund':
        if (this.#models.length > 0) return this.#onOne(next, this.#at(next.channel));
    }
  }

  /** Every balance and every stored channel, to the wei. */
  async check(): Promise<void> {
    const { actors, contracts } = this.#chain;
    const expected = [...this.#balances];
    let held = this.#held;
    for (const model of this.#models) {
      const [from, to] = [actors.indexOf(model.payer), actors.indexOf(model.payee)];
      const locked = model.closed ? 0n : model.deposit - model.settled;
      expected[from] = (expected[from] ?? 0n) - model.settled - locked;
      expected[to] = (expected[to] ?? 0n) + model.settled;
      held += locked;
      const stored = await this.#chain.read(contracts.channels, channelsContract, 'getChannel', [model.id]);
      assert.equal(stored.settledWei, model.settled);
      assert.equal(stored.depositWei, model.closed ? 0n : model.deposit);
      assert.ok(model.settled <= model.deposit);
    }
    assert.deepEqual(await Promise.all(actors.map((one) => this.#chain.balance(one.address))), expected);
    assert.equal(await this.#chain.balance(contracts.channels), held);
  }

  #at(index: number): Model {
    const model = this.#models[index % this.#models.length];
    assert.ok(model);
    return model;
  }

  #who(index: Who, right: Actor): Actor {
    return this.#chain.actors[index] ?? right;
  }

  /** Sends, and insists that it goes through exactly when the model says so. */
  async #send(kind: Step['kind'], from: Actor, data: Hex, expected: boolean): Promise<boolean> {
    const outcome = await this.#chain.send(from, this.#chain.contracts.channels, data);
    assert.equal(outcome.ok, expected, `${kind}: ${outcome.revert ?? 'went through'}`);
    if (outcome.ok) this.#tally.set(kind, (this.#tally.get(kind) ?? 0) + 1);
    return outcome.ok;
  }

  async #open(next: Extract<Step, { readonly kind: 'open' }>): Promise<void> {
    const [payer, payee] = [this.#chain.actors[next.payer], this.#chain.actors[next.payee]];
    assert.ok(payer && payee);
    const reference = randomReference();
    const data = openData(payee.address, payer.address, next.amount, reference);
    if (!(await this.#send('open', payer, data, payer !== payee && next.amount > 0n))) return;
    const { channels } = this.#chain.contracts;
    const id = await this.#chain.read(channels, channelsContract, 'channelIdOf', [payer.address, reference]);
    this.#models.push({ id, payer, payee, deposit: next.amount, settled: 0n, closed: false, noticeAt: undefined });
  }

  async #batch(next: Extract<Step, { readonly kind: 'batch' }>): Promise<void> {
    const from = this.#chain.actors[next.by];
    assert.ok(from);
    const chosen = this.#models.length === 0 ? [] : next.vouchers;
    const vouchers = [];
    for (const [index, wei, signer] of chosen) {
      const model = this.#at(index);
      vouchers.push(await this.#chain.voucher(model.id, wei, this.#who(signer, model.payer)));
    }
    await this.#send('batch', from, batchData(vouchers), true);
    for (const [index, wei, signer] of chosen) {
      const model = this.#at(index);
      if (payable(model, from, wei, this.#who(signer, model.payer))) {
        model.settled = wei;
        this.#tally.set('paid in batch', (this.#tally.get('paid in batch') ?? 0) + 1);
      }
    }
  }

  async #onOne(next: Exclude<Step, { readonly kind: 'open' | 'pass' | 'batch' }>, model: Model): Promise<void> {
    const { id, payer, payee } = model;
    switch (next.kind) {
      case 'topUp': {
        const from = this.#who(next.by, payer);
        const data = channelsContract.encode('topUp', [id, next.amount]);
        const allowed = !model.closed && from === payer && model.noticeAt === undefined && next.amount > 0n;
        if (await this.#send('topUp', from, data, allowed)) model.deposit += next.amount;
        return;
      }
      case 'settle':
      case 'close': {
        const [from, signer] = [this.#who(next.by, payee), this.#who(next.signer, payer)];
        const voucher = await this.#chain.voucher(id, next.amount, signer);
        const pays = payable(model, from, next.amount, signer);
        const closes = next.kind === 'close';
        const data = closes ? channelsContract.encode('closeWithVoucher', [forContract(voucher)]) : settleData(voucher);
        const ends = !model.closed && from === payee && (pays || next.amount <= model.settled);
        if (!(await this.#send(next.kind, from, data, closes ? ends : pays))) return;
        if (pays) model.settled = next.amount;
        model.closed = closes;
        return;
      }
      case 'notice': {
        const from = this.#who(next.by, payer);
        const allowed = !model.closed && from === payer && model.noticeAt === undefined;
        const data = channelsContract.encode('requestClose', [id]);
        if (await this.#send('notice', from, data, allowed)) model.noticeAt = await this.#chain.now();
        return;
      }
      case 'refund': {
        const from = this.#who(next.by, payer);
        // The block of the refund itself may be a second later; walks pass time in strides that do not meet the edge.
        const ripe = model.noticeAt !== undefined && (await this.#chain.now()) + 30 >= model.noticeAt + DAY;
        const data = channelsContract.encode('refund', [id]);
        if (await this.#send('refund', from, data, !model.closed && from === payer && ripe)) model.closed = true;
      }
    }
  }
}

/** Whether the contract must pay this voucher. */
function payable(model: Model, from: Actor, wei: bigint, signer: Actor): boolean {
  const inBounds = wei > model.settled && wei <= model.deposit;
  return !model.closed && from === model.payee && signer === model.payer && inBounds;
}
