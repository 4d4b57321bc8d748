import { DatabaseSync } from 'node:sqlite';
import { SigningKey, TypedDataEncoder, getBytes } from 'ethers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { eventTopic } from '#core/chain/abi.ts';
import { createIndexer, type Indexer, type SyncOutcome } from '#core/chain/indexer/indexer.ts';
import { PEER_BINDING_TYPES } from '#core/chain/identities.ts';
import { peerIdFromBytes, peerIdHash, publicKeyParts } from '#core/chain/peer-id.ts';
import type { ChainError } from '#core/chain/port.ts';
import { RpcFault, RpcUnreachable, type RpcRequest } from '#core/chain/rpc/rpc.ts';
import { compactSignature, signDigest } from '#core/chain/vouchers/signature.ts';
import { loadSecp256k1 } from '#core/chain/vouchers/secp256k1.ts';
import type { NetworkFile } from '#shared/model/network-file.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import type { Result } from '#shared/result.ts';
import type { Hex } from '#shared/units.ts';
import {
  channelsContract,
  COIN,
  DAY,
  forContract,
  identityContract,
  reputationContract,
  settleData,
  TestChain,
  type Actor,
} from '../../contract/chain/evm-harness.ts';
import { value } from './harness.ts';

const SETTLED = eventTopic(channelsContract, 'Settled');

let chain: TestChain;
let requester: Actor;
let provider: Actor;
let stranger: Actor;
let database: DatabaseSync;
const opened: Indexer[] = [];

beforeEach(async () => {
  chain = await TestChain.create();
  [, requester, provider, stranger] = chain.actors as [Actor, Actor, Actor, Actor];
  database = new DatabaseSync(':memory:');
});

afterEach(async () => {
  for (const indexer of opened.splice(0)) await indexer.stop();
  database.close();
});

function network(): NetworkFile {
  return {
    version: 1,
    networkId: 'test',
    chain: {
      chainId: chain.chainId,
      rpcUrls: ['http://127.0.0.1:1'],
      contracts: chain.contracts,
      token: { symbol: 'HEARTH', decimals: 18 },
      deployBlock: 1,
    },
    bootstrap: ['/ip4/127.0.0.1/tcp/1'],
    stun: [],
  };
}

function indexerOf(actor: Actor, request: RpcRequest = chain.request): Indexer {
  const indexer = createIndexer({ request, network: network(), account: actor.address, database, pollMs: 5 });
  opened.push(indexer);
  return indexer;
}

async function settle(channelId: Hex, cumulativeWei: bigint): Promise<void> {
  const voucher = await chain.voucher(channelId, cumulativeWei, requester);
  await chain.must(provider, chain.contracts.channels, settleData(voucher));
}

/** Everything the queries say, for comparing two indexes. */
function view({ queries }: Indexer) {
  return {
    total: queries.earnedTotal(),
    days: queries.earnedByDay(),
    earnings: queries.earnings({ limit: 1000 }),
    channels: queries.channels(),
    agents: queries.agents(),
    reputation: queries.reputation(),
    feedback: queries.feedback(1000),
  };
}

describe('earnings', () => {
  it('are counted to the wei, by day and one by one, from what was settled to the account', async () => {
    const id = await chain.open(requester, provider.address, 100n * COIN);
    const foreign = await chain.open(requester, stranger.address, COIN);
    await settle(id, 3n * COIN);
    await settle(id, 4n * COIN + 1n);
    await chain.pass(DAY);
    await settle(id, 10n * COIN);
    await chain.must(stranger, chain.contracts.channels, settleData(await chain.voucher(foreign, COIN, requester)));

    const indexer = indexerOf(provider);
    expect(value(await indexer.sync())).toMatchObject({ events: 4, rolledBack: 0 });
    const { queries } = indexer;
    expect(queries.earnedTotal()).toBe(10n * COIN);
    expect(queries.earnedByDay().map((day) => [day.paidWei, day.settlements])).toEqual([
      [6n * COIN - 1n, 1],
      [4n * COIN + 1n, 2],
    ]);
    const [newest, ...older] = queries.earnings({ limit: 2 });
    expect(newest).toMatchObject({ paidWei: 6n * COIN - 1n, cumulativeWei: 10n * COIN, channelId: id });
    const receipt = await chain.request('eth_getTransactionReceipt', [newest!.transactionHash]);
    expect(Number((receipt as { readonly blockNumber: Hex }).blockNumber)).toBe(newest!.blockNumber);
    expect(queries.earnings({ limit: 2, before: older[0]! })).toMatchObject([{ paidWei: 3n * COIN }]);
    expect(value(await indexer.sync())).toMatchObject({ events: 0 });
  });

  it('add up beyond what SQLite’s integers hold', async () => {
    const id = await chain.open(requester, provider.address, 50_000_000n * COIN);
    for (let i = 1n; i <= 3n; i += 1n) await settle(id, i * 10_000_000n * COIN);
    const indexer = indexerOf(provider);
    value(await indexer.sync());
    expect(indexer.queries.earnedTotal()).toBe(30_000_000n * COIN);
  });
});

describe('channels', () => {
  it('are followed from both sides: deposit, settled, notice, end', async () => {
    const id = await chain.open(requester, provider.address, 5n * COIN);
    const other = await chain.open(requester, stranger.address, COIN);
    const { channels } = chain.contracts;
    await chain.must(requester, channels, channelsContract.encode('topUp', [id, COIN]));
    await settle(id, 2n * COIN);
    await chain.must(requester, channels, channelsContract.encode('requestClose', [id]));
    const notice = await chain.now();
    const mine = indexerOf(requester);
    value(await mine.sync());
    expect(mine.queries.channels()).toMatchObject([
      { channelId: other, depositWei: COIN, settledWei: 0n, closeAt: undefined, closed: false },
      { channelId: id, depositWei: 6n * COIN, settledWei: 2n * COIN, closeAt: notice + DAY, closed: false },
    ]);
    const last = forContract(await chain.voucher(id, 3n * COIN, requester));
    await chain.must(provider, channels, channelsContract.encode('closeWithVoucher', [last]));
    value(await mine.sync());
    expect(mine.queries.channels()[1]).toMatchObject({ channelId: id, settledWei: 3n * COIN, closed: true });
  });
});

describe('identity and reputation', () => {
  it('show the account’s agents with their peers, and what customers say', async () => {
    const peerKey = new SigningKey(stranger.privateKey);
    const key = publicKeyParts(getBytes(peerKey.publicKey));
    const deadline = BigInt((await chain.now()) + 600);
    const domain = {
      name: 'ERC8004IdentityRegistry',
      version: '1',
      chainId: chain.chainId,
      verifyingContract: chain.contracts.identity,
    };
    const message = { peerIdHash: peerIdHash(key.peerId), owner: provider.address, nonce: 0n, deadline };
    const digest = getBytes(TypedDataEncoder.hash(domain, PEER_BINDING_TYPES, message));
    const raw = signDigest(await loadSecp256k1('noble'), digest, stranger.privateKey);
    const proof = { x: key.x, y: key.y, deadline, ...compactSignature(`0x${Buffer.from(raw).toString('hex')}`) };
    await chain.must(
      provider,
      chain.contracts.identity,
      identityContract.encode('registerPeer', ['hearth:node', proof]),
    );

    const id = await chain.open(requester, provider.address, COIN);
    await settle(id, 1n);
    const give = (score: bigint, tag: string) =>
      reputationContract.encode('giveFeedback', [1n, score, 0n, tag, '', '', 'hearth:x', `0x${'ab'.repeat(32)}`]);
    const { reputation } = chain.contracts;
    await chain.must(requester, reputation, give(90n, 'a'));
    await chain.must(requester, reputation, give(1000n, 'b'));
    await chain.must(requester, reputation, give(10n, 'c'));
    await chain.must(requester, reputation, reputationContract.encode('revokeFeedback', [1n, 3n]));

    const indexer = indexerOf(provider);
    value(await indexer.sync());
    expect(indexer.queries.agents()).toEqual([
      { agentId: 1n, uri: 'hearth:node', peerId: peerIdFromBytes(key.peerId) },
    ]);
    // Out-of-scale praise counts for 100; what was taken back does not count.
    expect(indexer.queries.reputation()).toEqual({ count: 2, score: 95 });
    expect(indexer.queries.feedback(10)).toMatchObject([
      { tag: 'c', value: 10, revoked: true },
      { tag: 'b', value: 1000, revoked: false },
      { tag: 'a', value: 90, revoked: false, client: requester.address.toLowerCase(), uri: 'hearth:x' },
    ]);

    await chain.must(provider, chain.contracts.identity, identityContract.encode('releasePeer', [1n]));
    value(await indexer.sync());
    expect(indexer.queries.agents()).toMatchObject([{ peerId: undefined }]);
  });
});

describe('a reorganisation', () => {
  it('takes back what the chain dropped and reads what came instead', async () => {
    const id = await chain.open(requester, provider.address, 100n * COIN);
    await settle(id, COIN);
    const indexer = indexerOf(provider);
    value(await indexer.sync());
    const fork = await chain.request('evm_snapshot', []);
    await settle(id, 5n * COIN);
    value(await indexer.sync());
    await settle(id, 9n * COIN);
    const dropped = await chain.open(requester, provider.address, COIN);
    value(await indexer.sync());
    expect(indexer.queries.earnedTotal()).toBe(9n * COIN);

    await chain.request('evm_revert', [fork]);
    await chain.pass(3);
    await settle(id, 2n * COIN);
    await chain.pass(3);
    await chain.pass(3);
    await chain.pass(3);
    expect(value(await indexer.sync())).toMatchObject({ rolledBack: 3 });
    expect(indexer.queries.earnedTotal()).toBe(2n * COIN);
    expect(indexer.queries.channels().map((one) => one.channelId)).not.toContain(dropped);

    const fresh = new DatabaseSync(':memory:');
    const again = createIndexer({
      request: chain.request,
      network: network(),
      account: provider.address,
      database: fresh,
    });
    value(await again.sync());
    expect(view(again)).toEqual(view(indexer));
    await again.stop();
    fresh.close();
  });

  it('to a shorter chain, as after a power cut, is noticed too', async () => {
    const id = await chain.open(requester, provider.address, 100n * COIN);
    const indexer = indexerOf(provider);
    value(await indexer.sync());
    const fork = await chain.request('evm_snapshot', []);
    await settle(id, 5n * COIN);
    await settle(id, 6n * COIN);
    value(await indexer.sync());
    await chain.request('evm_revert', [fork]);
    expect(value(await indexer.sync())).toMatchObject({ rolledBack: 2, events: 0 });
    expect(indexer.queries.earnedTotal()).toBe(0n);
  });

  it('in the middle of a sync writes nothing of the old chain', async () => {
    const id = await chain.open(requester, provider.address, 100n * COIN);
    const fork = await chain.request('evm_snapshot', []);
    await settle(id, 5n * COIN);
    let done = false;
    const shaken: RpcRequest = async (method, params) => {
      const answer = await chain.request(method, params);
      // The moment after the settlement was read, before its range is stored.
      if (method === 'eth_getLogs' && !done && JSON.stringify(answer).includes(SETTLED)) {
        done = true;
        await chain.request('evm_revert', [fork]);
        await settle(id, 7n * COIN);
      }
      return answer;
    };
    const indexer = indexerOf(provider, shaken);
    value(await indexer.sync());
    expect(done).toBe(true);
    expect(indexer.queries.earnings({ limit: 10 })).toMatchObject([{ paidWei: 7n * COIN }]);
  });

  it('deeper than every hash that was kept starts anew', async () => {
    const fork = await chain.request('evm_snapshot', []);
    const first = await chain.open(requester, provider.address, COIN);
    const indexer = indexerOf(provider);
    value(await indexer.sync());
    await chain.request('evm_revert', [fork]);
    const id = await chain.open(requester, provider.address, 2n * COIN);
    value(await indexer.sync());
    expect(indexer.queries.channels().map((one) => one.channelId)).toEqual([id]);
    expect(id).not.toBe(first);
  });
});

describe('the server behind the indexer', () => {
  it('may bound its ranges: the indexer asks for less', async () => {
    const id = await chain.open(requester, provider.address, 100n * COIN);
    for (let i = 1n; i <= 6n; i += 1n) await settle(id, i);
    const widest: number[] = [];
    const strict: RpcRequest = (method, params) => {
      const [filter] = params as [{ readonly fromBlock: Hex; readonly toBlock: Hex }];
      if (method === 'eth_getLogs') {
        const blocks = Number(filter.toBlock) - Number(filter.fromBlock) + 1;
        if (blocks > 3) return Promise.reject(new RpcFault(-32600, 'range too large'));
        widest.push(blocks);
      }
      return chain.request(method, params);
    };
    const indexer = indexerOf(provider, strict);
    value(await indexer.sync());
    expect(indexer.queries.earnedTotal()).toBe(6n);
    expect(Math.max(...widest)).toBeLessThanOrEqual(3);
  });

  it('cannot put other people’s money into the books, nor garbage into the database', async () => {
    const id = await chain.open(requester, provider.address, 100n * COIN);
    await settle(id, 5n);
    const lying: RpcRequest = async (method, params) => {
      const answer = await chain.request(method, params);
      if (method !== 'eth_getLogs' || !Array.isArray(answer)) return answer;
      const logs = answer as { readonly data: Hex; readonly address: Hex }[];
      return logs.flatMap((log) => [
        log,
        { ...log, address: chain.contracts.token, logIndex: '0x63' },
        { ...log, data: `${log.data}00`, logIndex: '0x64' },
        { ...log, blockNumber: '0xffffff', logIndex: '0x65' },
      ]);
    };
    const indexer = indexerOf(provider, lying);
    value(await indexer.sync());
    expect(indexer.queries.earnedTotal()).toBe(5n);
    expect(indexer.queries.channels()).toHaveLength(1);

    const garbage = indexerOf(stranger, () => Promise.resolve({ number: 'x' }));
    const result = await garbage.sync();
    expect(result.ok ? 'ok' : result.error.code).toBe('chain.unreachable');
  });

  it('may go away and come back: the indexer tells, waits, and goes on', async () => {
    const id = await chain.open(requester, provider.address, 100n * COIN);
    await settle(id, 5n);
    let away = true;
    const flaky: RpcRequest = (method, params) =>
      away ? Promise.reject(new RpcUnreachable('away')) : chain.request(method, params);
    const indexer = indexerOf(provider, flaky);
    const outcomes: Result<SyncOutcome, ChainError>[] = [];
    const faults: unknown[] = [];
    await new Promise<void>((resolve) => {
      indexer.start(
        (outcome) => {
          outcomes.push(outcome);
          if (outcomes.length === 2) away = false;
          if (outcome.ok) resolve();
        },
        (fault) => faults.push(fault),
      );
    });
    await indexer.stop();
    expect(outcomes.map((outcome) => (outcome.ok ? 'ok' : outcome.error.code))).toEqual([
      'chain.unreachable',
      'chain.unreachable',
      'ok',
    ]);
    expect(faults).toEqual([]);
    expect(indexer.queries.earnedTotal()).toBe(5n);
  });
});

describe('the index on disk', () => {
  it('goes on where it stopped, and forgets all when it is for another account', async () => {
    const id = await chain.open(requester, provider.address, 100n * COIN);
    await settle(id, 5n);
    value(await indexerOf(provider).sync());
    let asked = 0;
    const counting: RpcRequest = (method, params) => {
      if (method === 'eth_getLogs') asked += 1;
      return chain.request(method, params);
    };
    const again = indexerOf(provider, counting);
    expect(again.queries.earnedTotal()).toBe(5n);
    value(await again.sync());
    expect(asked).toBe(0);
    const other = indexerOf(stranger);
    expect(other.queries.channels()).toEqual([]);
    value(await other.sync());
    expect(other.queries.earnedTotal()).toBe(0n);
  });

  it('reads long stretches in ranges', async () => {
    await chain.request('hardhat_mine', [`0x${(LIMITS.chain.indexRangeBlocks * 2).toString(16)}`]);
    const id = await chain.open(requester, provider.address, 100n * COIN);
    await settle(id, 5n);
    const ranges: number[] = [];
    const counting: RpcRequest = (method, params) => {
      const [filter] = params as [{ readonly fromBlock: Hex; readonly toBlock: Hex }];
      if (method === 'eth_getLogs') ranges.push(Number(filter.toBlock) - Number(filter.fromBlock) + 1);
      return chain.request(method, params);
    };
    const indexer = indexerOf(provider, counting);
    value(await indexer.sync());
    expect(indexer.queries.earnedTotal()).toBe(5n);
    expect(Math.max(...ranges)).toBe(LIMITS.chain.indexRangeBlocks);
  });
});
