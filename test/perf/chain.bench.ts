import { DatabaseSync } from 'node:sqlite';
import { createIndexer } from '#core/chain/indexer/indexer.ts';
import type { RpcRequest } from '#core/chain/rpc/rpc.ts';
import { Eip712VoucherCodec } from '#core/chain/vouchers/codec.ts';
import { loadSecp256k1, SECP256K1_NAMES } from '#core/chain/vouchers/secp256k1.ts';
import { eventTopic } from '#core/chain/abi.ts';
import { paymentChannelsBytecode } from '#shared/contracts/generated/payment-channels.ts';
import { plainTokenBytecode } from '#shared/contracts/generated/testing/plain-token.ts';
import { wei, type Hex } from '#shared/units.ts';
import {
  batchData,
  channelsContract,
  COIN,
  DAY,
  forContract,
  newActor,
  openData,
  randomReference,
  reputationContract,
  settleData,
  TestChain,
  tokenContract,
  type Actor,
} from '../contract/chain/evm-harness.ts';
import type { Measure, Row } from './row.ts';

const CHANNELS: Hex = `0x${'c1'.repeat(20)}`;
const BATCH = 25;

export const measure: Measure = async ({ quick }) => [
  ...(await voucherRows(quick ? 300 : 2000)),
  ...(await gasRows()),
  ...(await indexRows(quick ? 5_000 : 50_000)),
];

/** Vouchers a second on one core, digest and address included. */
async function voucherRows(milliseconds: number): Promise<readonly Row[]> {
  const rows: Row[] = [];
  const signer = newActor();
  for (const name of SECP256K1_NAMES) {
    const codec = new Eip712VoucherCodec(1, CHANNELS, await loadSecp256k1(name));
    const terms = (n: number) => ({
      channelId: CHANNELS.padEnd(66, '0') as Hex,
      cumulativeWei: wei(BigInt(n)),
      expiresAt: 2e9,
    });
    const voucher = codec.sign(terms(1), signer.privateKey);
    const signed = perSecond(milliseconds, (n) => codec.sign(terms(n), signer.privateKey));
    const verified = perSecond(milliseconds, () => codec.recover(voucher));
    rows.push({ name: `vouchers signed (${name})`, value: signed, unit: '1/s' });
    rows.push({ name: `vouchers verified (${name})`, value: verified, unit: '1/s' });
  }
  return rows;
}

function perSecond(milliseconds: number, task: (n: number) => unknown): number {
  for (let n = 0; n < 50; n += 1) task(n);
  const started = performance.now();
  let count = 0;
  while (performance.now() - started < milliseconds) for (let n = 0; n < 10; n += 1) task((count += 1));
  return Math.round((count * 1000) / (performance.now() - started));
}

/** Gas of each call, with the votes token of a practice network and with the plainest ERC-20. */
async function gasRows(): Promise<readonly Row[]> {
  const chain = await TestChain.create({ actors: 5 });
  const treasury = chain.actors[0] as Actor;
  const plain = await chain.deploy(
    treasury,
    plainTokenBytecode,
    ['address', 'uint256'],
    [treasury.address, 10n ** 30n],
  );
  const plainChannels = await chain.deploy(treasury, paymentChannelsBytecode, ['address'], [plain]);
  const rows: Row[] = [];
  for (const [label, token, channels] of [
    ['HEARTH', chain.contracts.token, chain.contracts.channels],
    ['plain ERC-20', plain, plainChannels],
  ] as const) {
    const [, payer, payee] = chain.actors as [Actor, Actor, Actor];
    await chain.must(treasury, token, tokenContract.encode('transfer', [payer.address, 10n ** 24n]));
    // The payee's token slot is not new: the goal is for a node that has been paid before.
    await chain.must(treasury, token, tokenContract.encode('transfer', [payee.address, 1n]));
    await chain.must(payer, token, tokenContract.encode('approve', [channels, 10n ** 24n]));
    const codec = new Eip712VoucherCodec(chain.chainId, channels, await loadSecp256k1('noble'));
    const expiresAt = (await chain.now()) + DAY;
    const sign = (channelId: Hex, amount: bigint) =>
      codec.sign({ channelId, cumulativeWei: wei(amount), expiresAt }, payer.privateKey);
    const gas = async (from: Actor, data: Hex) => Number((await chain.must(from, channels, data)).gasUsed);
    const open = async () => {
      const reference = randomReference();
      const used = await gas(payer, openData(payee.address, payer.address, COIN, reference));
      return { used, id: await chain.read(channels, channelsContract, 'channelIdOf', [payer.address, reference]) };
    };
    const add = (name: string, value: number, goal?: string) =>
      rows.push({ name: `gas: ${name} (${label})`, value, unit: 'gas', ...(goal ? { goal } : {}) });

    const first = await open();
    add('open, first with this payee', first.used);
    add('settle, first with this payer', await gas(payee, settleData(sign(first.id, 1n))));
    add('settle', await gas(payee, settleData(sign(first.id, 10n ** 9n))), '<= 50000');
    const ids: Hex[] = [];
    let opened = 0;
    for (let n = 0; n < BATCH; n += 1) {
      const { used, id } = await open();
      opened = used;
      ids.push(id);
    }
    add('open', opened);
    await gas(payee, batchData(ids.map((id) => sign(id, 1n))));
    const batch = await gas(payee, batchData(ids.map((id) => sign(id, 10n ** 9n))));
    add(`settle ${BATCH} in a batch, each`, Math.round(batch / BATCH), '<= 14000');
    add('top up', await gas(payer, channelsContract.encode('topUp', [first.id, COIN])));
    const closing = sign(first.id, 2n * 10n ** 9n);
    add('close with a voucher', await gas(payee, channelsContract.encode('closeWithVoucher', [forContract(closing)])));
    add('close', await gas(payee, channelsContract.encode('close', [ids[0] as Hex])));
  }
  rows.push(...(await feedbackRow(chain)));
  return rows;
}

async function feedbackRow(chain: TestChain): Promise<readonly Row[]> {
  const [, payer, payee] = chain.actors as [Actor, Actor, Actor];
  const { identity, reputation } = chain.contracts;
  // register() by its selector: overloads are outside the typed wrapper.
  const registered = await chain.must(payee, identity, '0x1aa3a008');
  const data = reputationContract.encode('giveFeedback', [
    1n,
    100n,
    0n,
    'inference',
    '',
    '',
    'hearth:x',
    CHANNELS.padEnd(66, '0') as Hex,
  ]);
  const feedback = await chain.must(payer, reputation, data);
  return [
    { name: 'gas: register', value: Number(registered.gasUsed), unit: 'gas' },
    { name: 'gas: feedback', value: Number(feedback.gasUsed), unit: 'gas' },
  ];
}

/** Events a second into the index, from a server that answers at once. */
async function indexRows(count: number): Promise<readonly Row[]> {
  const account = newActor().address;
  const payee: Hex = `0x${account.slice(2).toLowerCase().padStart(64, '0')}`;
  const id: Hex = `0x${'ab'.repeat(32)}`;
  const word = (n: bigint) => n.toString(16).padStart(64, '0');
  const perBlock = 50;
  const log = (n: number, topics: readonly Hex[], data: Hex) => ({
    address: CHANNELS,
    topics,
    data,
    blockNumber: `0x${(Math.floor(n / perBlock) + 1).toString(16)}`,
    blockHash: id,
    transactionHash: id,
    logIndex: `0x${(n % perBlock).toString(16)}`,
  });
  const settled = eventTopic(channelsContract, 'Settled');
  const opened = eventTopic(channelsContract, 'Opened');
  const logs = [
    log(0, [opened, id, payee, payee], `0x${word(0n).repeat(4)}`),
    ...Array.from({ length: count }, (_, n) => log(n + 1, [settled, id, payee], `0x${word(1n)}${word(BigInt(n))}`)),
  ];
  const tip = Math.floor(count / perBlock) + 1;
  const request: RpcRequest = (method, params) => {
    const [first] = params as [{ readonly fromBlock: Hex; readonly toBlock: Hex; readonly topics: readonly unknown[] }];
    if (method !== 'eth_getLogs') {
      const number = typeof first === 'string' && first !== 'latest' ? first : `0x${tip.toString(16)}`;
      return Promise.resolve({ number, hash: id, timestamp: '0x1' });
    }
    const wanted = first.topics[0];
    const topic = Array.isArray(wanted) ? settled : wanted;
    const asPayee = !Array.isArray(wanted) && first.topics[3] === undefined;
    if (asPayee || (Array.isArray(wanted) && !wanted.includes(settled))) return Promise.resolve([]);
    const [from, to] = [Number(first.fromBlock), Number(first.toBlock)];
    return Promise.resolve(
      logs.filter((one) => one.topics[0] === topic && Number(one.blockNumber) >= from && Number(one.blockNumber) <= to),
    );
  };
  const database = new DatabaseSync(':memory:');
  const contracts = { token: CHANNELS, identity: CHANNELS, reputation: CHANNELS, channels: CHANNELS };
  const chain = {
    chainId: 1,
    rpcUrls: ['http://127.0.0.1:1'],
    contracts,
    token: { symbol: 'X', decimals: 18 },
    deployBlock: 1,
  };
  const network = { version: 1 as const, networkId: 'bench', chain, bootstrap: [''], stun: [] };
  const indexer = createIndexer({ request, network, account, database });
  const started = performance.now();
  const outcome = await indexer.sync();
  const seconds = (performance.now() - started) / 1000;
  if (!outcome.ok || outcome.value.events !== count + 1) throw new Error(`indexed ${JSON.stringify(outcome)}`);
  const asked = performance.now();
  indexer.queries.earnedTotal();
  const queryMs = performance.now() - asked;
  await indexer.stop();
  database.close();
  return [
    { name: 'events indexed', value: Math.round(count / seconds), unit: '1/s' },
    { name: `total of ${count} earnings`, value: Number(queryMs.toFixed(1)), unit: 'ms' },
  ];
}
