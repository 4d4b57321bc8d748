import { Signature, TypedDataEncoder } from 'ethers';
import { beforeAll, describe, expect, it } from 'vitest';
import { ContractAbi } from '#core/chain/abi.ts';
import { VOUCHER_TYPES, voucherDomain } from '#core/chain/vouchers/codec.ts';
import { paymentChannelsBytecode } from '#shared/contracts/generated/payment-channels.ts';
import { feeTokenBytecode } from '#shared/contracts/generated/testing/fee-token.ts';
import { reentrantTokenAbi, reentrantTokenBytecode } from '#shared/contracts/generated/testing/reentrant-token.ts';
import type { Hex } from '#shared/units.ts';
import {
  batchData,
  channelsContract,
  COIN,
  DAY,
  forContract,
  newActor,
  openData,
  randomReference,
  settleData,
  TestChain,
  tokenContract,
  type Actor,
} from './evm-harness.ts';

let chain: TestChain;
let payer: Actor;
let payee: Actor;
let stranger: Actor;

beforeAll(async () => {
  chain = await TestChain.create();
  [, payer, payee, stranger] = chain.actors as [Actor, Actor, Actor, Actor];
});

const channelOf = (id: Hex) => chain.read(chain.contracts.channels, channelsContract, 'getChannel', [id]);
const onChannels = (from: Actor, data: Hex) => chain.send(from, chain.contracts.channels, data);

describe('opening a channel', () => {
  it('takes the deposit and keeps the terms', async () => {
    const held = await chain.balance(chain.contracts.channels);
    const id = await chain.open(payer, payee.address, 5n * COIN);
    expect(await chain.balance(chain.contracts.channels)).toBe(held + 5n * COIN);
    const { payer: from, payee: to, signer, depositWei, settledWei, challengeSeconds, closeAt } = await channelOf(id);
    expect({ payer: from, payee: to, signer, depositWei, settledWei, challengeSeconds, closeAt }).toEqual({
      payer: payer.address,
      payee: payee.address,
      signer: payer.address,
      depositWei: 5n * COIN,
      settledWei: 0n,
      challengeSeconds: BigInt(DAY),
      closeAt: 0n,
    });
  });

  it('happens once for a reference, even after the channel is closed, and is nobody else’s business', async () => {
    const reference = randomReference();
    const id = await chain.open(payer, payee.address, COIN, reference);
    const again = openData(stranger.address, stranger.address, 2n * COIN, reference);
    expect((await onChannels(payer, again)).revert).toBe('AlreadyOpened');
    await onChannels(payee, channelsContract.encode('close', [id]));
    expect((await onChannels(payer, again)).revert).toBe('AlreadyOpened');
    // Somebody else with the same reference gets another channel.
    expect(await chain.open(stranger, payee.address, COIN, reference)).not.toBe(id);
  });

  it('refuses terms that would strand money', async () => {
    const reference = randomReference();
    const { address } = payee;
    const terms: readonly Hex[] = [
      openData(`0x${'00'.repeat(20)}`, payer.address, COIN, reference),
      openData(payer.address, payer.address, COIN, reference),
      openData(chain.contracts.channels, payer.address, COIN, reference),
      openData(address, payer.address, 0n, reference),
      openData(address, payer.address, COIN, reference, 3599),
      openData(address, payer.address, COIN, reference, 31 * DAY),
    ];
    for (const data of terms) expect((await onChannels(payer, data)).revert).toBe('InvalidTerms');
  });

  it('needs no transaction before it where the token takes a permit, and survives one that was sent before it', async () => {
    const owner = newActor();
    await chain.must(chain.actors[0]!, chain.contracts.token, tokenContract.encode('transfer', [owner.address, COIN]));
    const deadline = BigInt((await chain.now()) + DAY);
    const domain = { name: 'Hearth', version: '1', chainId: chain.chainId, verifyingContract: chain.contracts.token };
    const types = {
      Permit: ['owner:address', 'spender:address', 'value:uint256', 'nonce:uint256', 'deadline:uint256'].map(
        (field) => {
          const [name, type] = field.split(':') as [string, string];
          return { name, type };
        },
      ),
    };
    const permit = { owner: owner.address, spender: chain.contracts.channels, value: COIN, nonce: 0, deadline };
    const { v, r, s } = Signature.from(await owner.wallet.signTypedData(domain, types, permit));
    const [rHex, sHex] = [r as Hex, s as Hex];
    // A stranger takes the permit out of the pool and sends it first.
    const front = tokenContract.encode('permit', [
      owner.address,
      chain.contracts.channels,
      COIN,
      deadline,
      BigInt(v),
      rHex,
      sHex,
    ]);
    await chain.must(stranger, chain.contracts.token, front);
    // The owner has no coins in this test, so its call is only simulated.
    const id = await chain.read(
      chain.contracts.channels,
      channelsContract,
      'openWithPermit',
      [payee.address, owner.address, COIN, BigInt(DAY), randomReference(), deadline, BigInt(v), rHex, sHex],
      owner,
    );
    expect(id).toMatch(/^0x[0-9a-f]{64}$/);
  });

  it('refuses a token that takes a fee', async () => {
    const token = await chain.deploy(payer, feeTokenBytecode, ['address', 'uint256'], [payer.address, 100n * COIN]);
    const channels = await chain.deploy(payer, paymentChannelsBytecode, ['address'], [token]);
    await chain.must(payer, token, tokenContract.encode('approve', [channels, COIN]));
    const outcome = await chain.send(payer, channels, openData(payee.address, payer.address, COIN, randomReference()));
    expect(outcome.revert).toBe('UnsupportedToken');
  });
});

describe('a voucher', () => {
  it('has the digest that ethers and the contract compute', async () => {
    const id = await chain.open(payer, payee.address, COIN);
    const terms = { channelId: id, cumulativeWei: (2n ** 128n - 1n) as never, expiresAt: Number.MAX_SAFE_INTEGER };
    const ours = `0x${Buffer.from(chain.codec.digest(terms)!).toString('hex')}`;
    const domain = voucherDomain(chain.chainId, chain.contracts.channels);
    expect(ours).toBe(TypedDataEncoder.hash(domain, VOUCHER_TYPES, terms));
    const args = [id, terms.cumulativeWei, BigInt(terms.expiresAt)] as const;
    expect(ours).toBe(await chain.read(chain.contracts.channels, channelsContract, 'voucherDigest', args));
  });

  it('pays the difference to what was settled before', async () => {
    const id = await chain.open(payer, payee.address, 5n * COIN);
    const before = await chain.balance(payee.address);
    await onChannels(payee, settleData(await chain.voucher(id, 2n * COIN, payer)));
    await onChannels(payee, settleData(await chain.voucher(id, 3n * COIN, payer)));
    expect(await chain.balance(payee.address)).toBe(before + 3n * COIN);
    expect((await channelOf(id)).settledWei).toBe(3n * COIN);
  });

  it('pays nothing twice, and an older one nothing at all', async () => {
    const id = await chain.open(payer, payee.address, 5n * COIN);
    const [older, newer] = [await chain.voucher(id, COIN, payer), await chain.voucher(id, 2n * COIN, payer)];
    expect((await onChannels(payee, settleData(newer))).ok).toBe(true);
    expect((await onChannels(payee, settleData(newer))).revert).toBe('VoucherRefused.NothingNew');
    expect((await onChannels(payee, settleData(older))).revert).toBe('VoucherRefused.NothingNew');
  });

  it('is worth nothing when forged, expired, over the deposit, for another channel or in another’s hands', async () => {
    const id = await chain.open(payer, payee.address, COIN);
    const other = await chain.open(payer, payee.address, COIN);
    const good = await chain.voucher(id, COIN, payer);
    const cases: readonly (readonly [string, Actor, Parameters<typeof settleData>[0]])[] = [
      ['Forged', payee, await chain.voucher(id, COIN, stranger)],
      ['Forged', payee, { ...good, cumulativeWei: (COIN - 1n) as never }],
      ['Forged', payee, { ...good, channelId: other }],
      ['Forged', payee, { ...good, expiresAt: good.expiresAt + 1 }],
      ['Forged', payee, { ...good, signature: `0x${'00'.repeat(64)}1b` }],
      ['Expired', payee, await chain.voucher(id, COIN, payer, (await chain.now()) - 1)],
      ['OverDeposit', payee, await chain.voucher(id, COIN + 1n, payer)],
      ['OverDeposit', payee, await chain.voucher(id, 2n ** 128n - 1n, payer)],
      ['NotPayee', stranger, good],
      ['NoChannel', payee, await chain.voucher(randomReference(), COIN, payer)],
    ];
    for (const [reason, from, voucher] of cases) {
      expect((await onChannels(from, settleData(voucher))).revert).toBe(`VoucherRefused.${reason}`);
    }
    expect((await onChannels(payee, settleData(good))).ok).toBe(true);
  });

  it('of another chain or another contract is forged', async () => {
    const id = await chain.open(payer, payee.address, COIN);
    const good = await chain.voucher(id, COIN, payer);
    const { cumulativeWei, expiresAt } = good;
    const { channels } = chain.contracts;
    for (const domain of [voucherDomain(chain.chainId + 1, channels), voucherDomain(chain.chainId, payee.address)]) {
      const terms = { channelId: id, cumulativeWei, expiresAt };
      const signature = (await payer.wallet.signTypedData(domain, VOUCHER_TYPES, terms)) as Hex;
      expect((await onChannels(payee, settleData({ ...good, signature }))).revert).toBe('VoucherRefused.Forged');
    }
    expect((await onChannels(payee, settleData(good))).ok).toBe(true);
  });
});

describe('a batch', () => {
  it('pays every good voucher in one transfer and passes over the bad ones', async () => {
    const ids = [await chain.open(payer, payee.address, COIN), await chain.open(stranger, payee.address, COIN)];
    const [mine, theirs] = ids as [Hex, Hex];
    const settledBefore = await chain.voucher(mine, COIN / 4n, payer);
    await onChannels(payee, settleData(settledBefore));
    const before = await chain.balance(payee.address);
    const outcome = await onChannels(
      payee,
      batchData([
        settledBefore,
        await chain.voucher(theirs, COIN, payer),
        await chain.voucher(mine, COIN / 2n, payer),
        await chain.voucher(theirs, 3n, stranger),
        await chain.voucher(theirs, 1n, stranger),
        await chain.voucher(mine, COIN, payer),
        await chain.voucher(randomReference(), COIN, payer),
      ]),
    );
    expect(outcome.ok).toBe(true);
    expect(await chain.balance(payee.address)).toBe(before + (COIN * 3n) / 4n + 3n);
    const names = outcome.logs.map((log) => channelsContract.interface.parseLog(log)?.name ?? 'Transfer');
    expect(names.filter((name) => name === 'Settled')).toHaveLength(3);
    expect(names.filter((name) => name === 'VoucherSkipped')).toHaveLength(4);
    expect(names.filter((name) => name === 'Transfer')).toHaveLength(1);
  });

  it('can be repeated without harm', async () => {
    const id = await chain.open(payer, payee.address, COIN);
    const batch = batchData([await chain.voucher(id, COIN, payer)]);
    await onChannels(payee, batch);
    const before = await chain.balance(payee.address);
    expect((await onChannels(payee, batch)).ok).toBe(true);
    expect((await onChannels(payee, batchData([]))).ok).toBe(true);
    expect(await chain.balance(payee.address)).toBe(before);
  });
});

describe('the end of a channel', () => {
  it('by the payee returns the rest at once', async () => {
    const id = await chain.open(payer, payee.address, 5n * COIN);
    const [payerHad, payeeHad] = [await chain.balance(payer.address), await chain.balance(payee.address)];
    const voucher = await chain.voucher(id, 2n * COIN, payer);
    expect((await onChannels(stranger, channelsContract.encode('close', [id]))).revert).toBe('NotPayee');
    await onChannels(payee, channelsContract.encode('closeWithVoucher', [forContract(voucher)]));
    expect(await chain.balance(payee.address)).toBe(payeeHad + 2n * COIN);
    expect(await chain.balance(payer.address)).toBe(payerHad + 3n * COIN);
    expect((await onChannels(payee, channelsContract.encode('close', [id]))).revert).toBe('ChannelClosed');
    expect((await onChannels(payer, channelsContract.encode('topUp', [id, 1n]))).revert).toBe('ChannelClosed');
    const late = await chain.voucher(id, 3n * COIN, payer);
    expect((await onChannels(payee, settleData(late))).revert).toBe('VoucherRefused.OverDeposit');
  });

  it('with a voucher that was settled before is no error, with a forged one it is', async () => {
    const id = await chain.open(payer, payee.address, COIN);
    const voucher = await chain.voucher(id, 2n, payer);
    const forged = await chain.voucher(id, 3n, stranger);
    await onChannels(payee, settleData(voucher));
    const close = (v: typeof voucher) => channelsContract.encode('closeWithVoucher', [forContract(v)]);
    expect((await onChannels(payee, close(forged))).revert).toBe('VoucherRefused.Forged');
    expect((await onChannels(payee, close(voucher))).ok).toBe(true);
  });

  it('by the payer takes its notice; until then the payee may settle', async () => {
    const id = await chain.open(payer, payee.address, 2n * COIN);
    const refund = channelsContract.encode('refund', [id]);
    const notice = channelsContract.encode('requestClose', [id]);
    expect((await onChannels(payer, refund)).revert).toBe('TooEarly');
    expect((await onChannels(payee, notice)).revert).toBe('NotPayer');
    expect((await onChannels(payer, notice)).ok).toBe(true);
    expect((await onChannels(payer, notice)).revert).toBe('ClosePending');
    expect((await onChannels(payer, channelsContract.encode('topUp', [id, 1n]))).revert).toBe('ClosePending');
    await chain.pass(DAY - 60);
    expect((await onChannels(payer, refund)).revert).toBe('TooEarly');
    expect((await onChannels(payee, settleData(await chain.voucher(id, COIN, payer)))).ok).toBe(true);
    await chain.pass(61);
    expect((await onChannels(stranger, refund)).revert).toBe('NotPayer');
    const had = await chain.balance(payer.address);
    expect((await onChannels(payer, refund)).ok).toBe(true);
    expect(await chain.balance(payer.address)).toBe(had + COIN);
    expect((await onChannels(payer, refund)).revert).toBe('ChannelClosed');
  });

  it('topping up is the payer’s alone and raises what vouchers may reach', async () => {
    const id = await chain.open(payer, payee.address, COIN);
    const topUp = (amount: bigint) => channelsContract.encode('topUp', [id, amount]);
    expect((await onChannels(stranger, topUp(COIN))).revert).toBe('NotPayer');
    expect((await onChannels(payer, topUp(0n))).revert).toBe('InvalidTerms');
    expect((await onChannels(payer, topUp(2n ** 96n - 1n))).ok).toBe(false);
    expect((await onChannels(payer, topUp(COIN))).ok).toBe(true);
    expect((await onChannels(payee, settleData(await chain.voucher(id, 2n * COIN, payer)))).ok).toBe(true);
  });
});

describe('a token that calls back', () => {
  const reentrant = new ContractAbi(reentrantTokenAbi);

  /** A channel whose payee is the hostile token itself, and a way to make it act. */
  async function hostile() {
    const token = await chain.deploy(
      payer,
      reentrantTokenBytecode,
      ['address', 'uint256'],
      [payer.address, 100n * COIN],
    );
    const channels = await chain.deploy(payer, paymentChannelsBytecode, ['address'], [token]);
    await chain.must(payer, token, tokenContract.encode('approve', [channels, 100n * COIN]));
    const reference = randomReference();
    await chain.must(payer, channels, openData(token, payer.address, 10n * COIN, reference));
    const id = await chain.read(channels, channelsContract, 'channelIdOf', [payer.address, reference]);
    const expiresAt = (await chain.now()) + DAY;
    const sign = async (cumulativeWei: bigint) => {
      const terms = { channelId: id, cumulativeWei, expiresAt };
      const domain = voucherDomain(chain.chainId, channels);
      const signature = (await payer.wallet.signTypedData(domain, VOUCHER_TYPES, terms)) as Hex;
      return forContract({ ...terms, cumulativeWei: cumulativeWei as never, signature });
    };
    return { token, channels, id, sign };
  }

  it.each(['settle', 'settleBatch', 'close', 'closeWithVoucher', 'open'] as const)(
    'in the middle of a payment gets nothing more by %s',
    async (attack) => {
      const { token, channels, id, sign } = await hostile();
      const more = await sign(4n * COIN);
      const payload = {
        settle: channelsContract.encode('settle', [more]),
        settleBatch: channelsContract.encode('settleBatch', [[more]]),
        close: channelsContract.encode('close', [id]),
        closeWithVoucher: channelsContract.encode('closeWithVoucher', [more]),
        open: openData(payee.address, payer.address, COIN, randomReference()),
      }[attack];
      await chain.must(stranger, token, reentrant.encode('arm', [channels, payload]));
      const settle = channelsContract.encode('settle', [await sign(COIN)]);
      await chain.must(stranger, token, reentrant.encode('act', [channels, settle]));
      expect(await chain.read(token, reentrant, 'attempts', [])).toBe(1n);
      expect(await chain.read(token, reentrant, 'lastOk', [])).toBe(false);
      // keccak256("ReentrancyGuardReentrantCall()")
      expect(await chain.read(token, reentrant, 'lastAnswer', [])).toBe('0x3ee5aeb5');
      expect(await chain.balance(token, token)).toBe(COIN);
      expect(await chain.balance(channels, token)).toBe(9n * COIN);
    },
  );
});
