import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { SigningKey, getBytes } from 'ethers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createChain } from '#core/chain/chain.ts';
import { peerIdFromBytes, publicKeyParts } from '#core/chain/peer-id.ts';
import type { PracticeChain } from '#core/chain/practice/chain.ts';
import { wei } from '#shared/units.ts';
import {
  COIN,
  failure,
  fundedChain,
  inSeconds,
  networkFileOf,
  newReference,
  newWallet,
  practiceChain,
  removeDirectory,
  temporaryDirectory,
  value,
} from './harness.ts';

let directory: string;
let practice: PracticeChain;
const DAY = 24 * 3600;

beforeAll(async () => {
  directory = await temporaryDirectory();
  practice = await practiceChain({ directory });
});

afterAll(async () => {
  await practice.stop();
  await removeDirectory(directory);
});

type TestChain = Awaited<ReturnType<typeof fundedChain>>;

async function openedChannel(payer: TestChain, payee: TestChain, depositWei = wei(10n * COIN)) {
  return value(
    await payer.channels.open({
      payee: payee.address,
      signer: payer.address,
      depositWei,
      challengeSeconds: DAY,
      reference: newReference(),
    }),
  );
}

function peerKey() {
  const privateKey = randomBytes(32);
  const key = new SigningKey(privateKey);
  return {
    peerId: peerIdFromBytes(publicKeyParts(getBytes(key.publicKey)).peerId),
    peerPublicKey: getBytes(key.compressedPublicKey),
    sign: (digest: Uint8Array) => Promise.resolve(getBytes(key.sign(digest).serialized)),
  };
}

describe('channels over JSON-RPC', () => {
  it('opens, pays by voucher, tops up, settles and closes with every token accounted for', async () => {
    const [payer, payee] = [await fundedChain(practice), await fundedChain(practice, { tokens: 0n })];
    const channel = await openedChannel(payer, payee);
    expect(channel).toMatchObject({ depositWei: 10n * COIN, settledWei: 0n, challengeSeconds: DAY });
    // The allowance came by permit: no transaction of its own.
    expect(await practice.request('eth_getTransactionCount', [payer.address, 'latest'])).toBe('0x1');

    const sign = (cumulativeWei: bigint) =>
      payer.vouchers.sign(
        { channelId: channel.channelId, cumulativeWei: wei(cumulativeWei), expiresAt: inSeconds(practice, DAY) },
        payer.wallet.privateKey,
      );
    const first = sign(3n * COIN);
    expect(payee.vouchers.recover(first)).toBe(payer.address.toLowerCase());
    const [settlement] = value(await payee.channels.settle([first]));
    expect(settlement).toMatchObject({ paidWei: 3n * COIN, cumulativeWei: 3n * COIN, channelId: channel.channelId });

    // Again, as after a crash between the transaction and its row: nothing happens and nothing fails.
    expect(value(await payee.channels.settle([first]))).toEqual([]);

    expect(value(await payer.channels.topUp(channel.channelId, wei(5n * COIN))).depositWei).toBe(15n * COIN);
    const closing = value(await payee.channels.close(channel.channelId, sign(12n * COIN)));
    expect(closing).toMatchObject({ paidWei: 9n * COIN, cumulativeWei: 12n * COIN });
    expect(value(await payee.channels.close(channel.channelId, undefined))).toBeUndefined();

    expect(value(await payer.balances()).tokenWei).toBe(88n * COIN);
    expect(value(await payee.balances()).tokenWei).toBe(12n * COIN);
    expect(value(await payer.channels.get(channel.channelId))).toMatchObject({ closed: true, settledWei: 12n * COIN });
  });

  it('opens once for one reference, however often and at the same time it is asked', async () => {
    const [payer, payee] = [await fundedChain(practice), await fundedChain(practice)];
    const terms = {
      payee: payee.address,
      signer: payer.address,
      depositWei: wei(COIN),
      challengeSeconds: DAY,
      reference: newReference(),
    };
    // A second adapter on the same key stands for the process that was started again after a crash.
    const again = await createChain({ networkFile: networkFileOf(practice), wallet: payer.wallet });
    const results = await Promise.all([
      payer.channels.open(terms),
      again.channels.open(terms),
      payer.channels.open(terms),
    ]);
    const ids = results.map((result) => value(result).channelId);
    expect(new Set(ids).size).toBe(1);
    expect(value(await payer.balances()).tokenWei).toBe(99n * COIN);
    expect(failure(await payer.channels.open({ ...terms, payee: newWallet().address }))).toMatchObject({
      code: 'chain.reverted',
      data: { reason: 'AlreadyOpened' },
    });
  });

  it('opens many channels at once without a gap or a clash of nonces', async () => {
    const payer = await fundedChain(practice);
    const payees = Array.from({ length: 8 }, newWallet);
    const opened = await Promise.all(
      payees.map((payee) =>
        payer.channels.open({
          payee: payee.address,
          signer: payer.address,
          depositWei: wei(COIN),
          challengeSeconds: DAY,
          reference: newReference(),
        }),
      ),
    );
    expect(opened.map((result) => value(result).payee.toLowerCase())).toEqual(
      payees.map((p) => p.address.toLowerCase()),
    );
    const closings = await Promise.all(opened.map((result) => payer.channels.requestClose(value(result).channelId)));
    expect(closings.every((result) => result.ok)).toBe(true);
  });

  it('pays the good vouchers of a batch and passes over a forged one', async () => {
    const payee = await fundedChain(practice);
    const payers = await Promise.all([fundedChain(practice), fundedChain(practice), fundedChain(practice)]);
    const vouchers = [];
    for (const [i, payer] of payers.entries()) {
      const channel = await openedChannel(payer, payee);
      const terms = { channelId: channel.channelId, cumulativeWei: wei(COIN), expiresAt: inSeconds(practice, DAY) };
      vouchers.push(payer.vouchers.sign(terms, i === 1 ? newWallet().privateKey : payer.wallet.privateKey));
    }
    const settled = value(await payee.channels.settle(vouchers));
    expect(settled.map((settlement) => settlement.channelId)).toEqual([vouchers[0]?.channelId, vouchers[2]?.channelId]);
    expect(failure(await payee.channels.settle([vouchers[1]!]))).toMatchObject({
      code: 'chain.reverted',
      data: { reason: 'VoucherRefused.Forged' },
    });
  });

  it('gives the payer the rest back after its notice, not before', async () => {
    const [payer, payee] = [await fundedChain(practice), await fundedChain(practice)];
    const { channelId } = await openedChannel(payer, payee);
    value(await payer.channels.requestClose(channelId));
    expect(failure(await payer.channels.refund(channelId))).toMatchObject({ data: { reason: 'TooEarly' } });
    await practice.advanceTime(DAY + 1);
    value(await payer.channels.refund(channelId));
    value(await payer.channels.refund(channelId));
    expect(value(await payer.balances()).tokenWei).toBe(100n * COIN);
  });

  it('says in codes what is missing: channel, tokens, coins', async () => {
    const payer = await fundedChain(practice, { tokens: COIN });
    expect(failure(await payer.channels.get(newReference())).code).toBe('chain.not_found');
    const terms = {
      payee: newWallet().address,
      signer: payer.address,
      depositWei: wei(2n * COIN),
      challengeSeconds: DAY,
      reference: newReference(),
    };
    expect(failure(await payer.channels.open(terms))).toMatchObject({
      code: 'chain.insufficient_tokens',
      data: { haveWei: COIN.toString(), needWei: (2n * COIN).toString() },
    });
    const broke = await fundedChain(practice, { gas: 0n });
    expect(failure(await broke.channels.open({ ...terms, signer: broke.address })).code).toBe('chain.insufficient_gas');
  });
});

describe('identity and reputation over JSON-RPC', () => {
  it('registers a node by its peer key once, and takes feedback from its customers only', async () => {
    const [node, client] = [await fundedChain(practice), await fundedChain(practice)];
    const key = peerKey();
    expect(value(await client.identities.byPeer(key.peerId))).toBeUndefined();
    const agent = value(await node.identities.register({ ...key, uri: 'hearth:node' }));
    expect(value(await node.identities.register({ ...key, uri: 'hearth:node' }))).toEqual(agent);
    expect(value(await client.identities.byPeer(key.peerId))).toEqual(agent);
    expect(agent.wallet.toLowerCase()).toBe(node.address.toLowerCase());

    const channel = await openedChannel(client, node);
    const feedback = {
      agentId: agent.agentId,
      value: 100,
      tag: 'inference',
      channelId: channel.channelId,
      evidence: newReference(),
    };
    expect(failure(await client.reputation.giveFeedback(feedback))).toMatchObject({ data: { reason: 'NotACustomer' } });
    const terms = { channelId: channel.channelId, cumulativeWei: wei(1n), expiresAt: inSeconds(practice, DAY) };
    value(await node.channels.settle([client.vouchers.sign(terms, client.wallet.privateKey)]));
    value(await client.reputation.giveFeedback(feedback));
    value(await client.reputation.giveFeedback({ ...feedback, value: 33.5 }));
    expect(value(await node.reputation.summary(agent.agentId))).toEqual({ count: 2, score: 66.75 });
    expect(failure(await node.reputation.giveFeedback(feedback))).toMatchObject({ data: { reason: 'SelfFeedback' } });
  });

  it('does not register a peer whose key did not sign', async () => {
    const node = await fundedChain(practice);
    const [mine, other] = [peerKey(), peerKey()];
    expect(failure(await node.identities.register({ ...mine, sign: other.sign, uri: '' }))).toMatchObject({
      data: { reason: 'ProofForged' },
    });
    expect(failure(await node.identities.register({ ...mine, peerId: other.peerId, uri: '' }))).toMatchObject({
      data: { reason: 'ProofForged' },
    });
  });

  it('moves a peer to the wallet its key names last', async () => {
    const [before, after] = [await fundedChain(practice), await fundedChain(practice)];
    const key = peerKey();
    const old = value(await before.identities.register({ ...key, uri: '' }));
    const fresh = value(await after.identities.register({ ...key, uri: '' }));
    expect(fresh.agentId).not.toBe(old.agentId);
    expect(value(await before.identities.byPeer(key.peerId))?.owner.toLowerCase()).toBe(after.address.toLowerCase());
  });
});

describe('a chain that misbehaves', () => {
  it('is refused when it has another chain id, and when the contracts are not there', async () => {
    const wallet = newWallet();
    const right = networkFileOf(practice);
    const other = { ...right, chain: { ...right.chain, chainId: practice.chainId + 1 } };
    const wrong = await createChain({ networkFile: other, wallet });
    expect(failure(await wrong.check())).toMatchObject({ code: 'chain.wrong_chain' });
    const elsewhere = {
      ...right,
      chain: { ...right.chain, contracts: { ...right.chain.contracts, channels: newWallet().address } },
    };
    const empty = await createChain({ networkFile: elsewhere, wallet });
    expect(failure(await empty.check())).toMatchObject({ code: 'chain.wrong_chain', data: { contract: 'channels' } });
    const swapped = {
      ...right,
      chain: { ...right.chain, contracts: { ...right.chain.contracts, token: right.chain.contracts.identity } },
    };
    const mixed = await createChain({ networkFile: swapped, wallet });
    expect(failure(await mixed.check())).toMatchObject({ code: 'chain.wrong_chain', data: { contract: 'token' } });
  });

  it('is left for the next server while it does not answer', async () => {
    const urls = ['http://127.0.0.1:1', practice.url];
    const chain = await createChain({ networkFile: networkFileOf(practice, urls), wallet: newWallet() });
    expect(value(await chain.check()).blockNumber).toBeGreaterThan(0);
  });

  it('is unreachable while it is away and works again by itself when it is back', async () => {
    const home = await temporaryDirectory();
    let local = await practiceChain({ directory: home });
    try {
      const port = Number(new URL(local.url).port);
      const payer = await fundedChain(local, { silenceMs: 20_000 });
      value(await payer.check());
      await local.stop();
      expect(failure(await payer.balances())).toMatchObject({ code: 'chain.unreachable' });

      local = await practiceChain({ directory: home, port });
      const channel = value(
        await payer.channels.open({
          payee: newWallet().address,
          signer: payer.address,
          depositWei: wei(COIN),
          challengeSeconds: DAY,
          reference: newReference(),
        }),
      );
      expect(channel.depositWei).toBe(COIN);
      await local.stop();
      local = await practiceChain({ directory: home, port });
      expect(value(await payer.channels.get(channel.channelId))).toEqual(channel);
    } finally {
      await local.stop();
      await removeDirectory(home);
    }
  });

  it('may go away between a transaction and its receipt: the call waits and ends well', async () => {
    // A door in front of the chain that closes right after the opening transaction went through it, for a while.
    let closedUntilTry = 0;
    let tries = 0;
    const door = createServer((incoming, outgoing) => {
      void (async () => {
        const chunks: Buffer[] = [];
        for await (const chunk of incoming as AsyncIterable<Buffer>) chunks.push(chunk);
        const body = Buffer.concat(chunks).toString();
        tries += 1;
        if (tries <= closedUntilTry) {
          outgoing.destroy();
          return;
        }
        const answer = await fetch(practice.url, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body,
        });
        if (body.includes('eth_sendRawTransaction')) {
          closedUntilTry = tries + 4;
          // Not even the transaction's own answer gets out.
          outgoing.destroy();
          return;
        }
        outgoing.end(await answer.text());
      })();
    });
    await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve));
    const address = door.address();
    const url = typeof address === 'object' ? `http://127.0.0.1:${address?.port}` : '';
    try {
      const payer = await fundedChain(practice, { networkFile: networkFileOf(practice, [url]) });
      const terms = {
        payee: newWallet().address,
        signer: payer.address,
        depositWei: wei(COIN),
        challengeSeconds: DAY,
        reference: newReference(),
      };
      expect(value(await payer.channels.open(terms)).depositWei).toBe(COIN);
      expect(tries).toBeGreaterThan(closedUntilTry);
      expect(closedUntilTry).toBeGreaterThan(0);
      expect(value(await payer.balances()).tokenWei).toBe(99n * COIN);
    } finally {
      door.closeAllConnections();
      door.close();
    }
  });

  it('cannot make the program swallow nonsense, endless answers or silence', async () => {
    const answers = ['<html>', '{"jsonrpc":"2.0","id":1}', '{"jsonrpc":"2.0","id":1,"result":{"x":1}}', ''];
    let next = 0;
    const server = createServer((request, response) => {
      const body = answers[next];
      request.resume();
      if (body === '') return;
      response.end(body);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const url = typeof address === 'object' ? `http://127.0.0.1:${address?.port}` : '';
    try {
      const networkFile = networkFileOf(practice, [url]);
      const chain = await createChain({ networkFile, wallet: newWallet(), rpcTimeoutMs: 300 });
      for (next = 0; next < answers.length; next += 1) {
        expect(['chain.unreachable', 'chain.wrong_chain']).toContain(failure(await chain.check()).code);
      }
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  it('ends every call with chain.stopped once the adapter is stopped', async () => {
    const chain = await fundedChain(practice);
    await chain.stop();
    expect(failure(await chain.balances())).toMatchObject({ code: 'chain.stopped' });
  });
});
