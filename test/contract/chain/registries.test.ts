import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { Interface, SigningKey, getBytes, type JsonFragment } from 'ethers';
import { beforeAll, describe, expect, it } from 'vitest';
import { PEER_BINDING_TYPES } from '#core/chain/identities.ts';
import { peerIdHash, publicKeyParts } from '#core/chain/peer-id.ts';
import { compactSignature } from '#core/chain/vouchers/signature.ts';
import type { Address, Hex } from '#shared/units.ts';
import {
  COIN,
  DAY,
  identityContract,
  newActor,
  reputationContract,
  settleData,
  TestChain,
  type Actor,
} from './evm-harness.ts';

let chain: TestChain;
let owner: Actor;
let client: Actor;
let stranger: Actor;

beforeAll(async () => {
  chain = await TestChain.create();
  [, owner, client, stranger] = chain.actors as [Actor, Actor, Actor, Actor];
});

const onIdentity = (from: Actor, data: Hex) => chain.send(from, chain.contracts.identity, data);
const onReputation = (from: Actor, data: Hex) => chain.send(from, chain.contracts.reputation, data);

/** Encodes one of the overloads of register, which the typed wrapper leaves out. */
function registerData(signature: string, args: readonly unknown[]): Hex {
  return identityContract.interface.encodeFunctionData(signature, args) as Hex;
}

async function register(from: Actor): Promise<bigint> {
  const outcome = await chain.must(from, chain.contracts.identity, registerData('register()', []));
  return registeredIn(outcome.logs);
}

function registeredIn(logs: readonly { readonly topics: readonly Hex[]; readonly data: Hex }[]): bigint {
  for (const log of logs) {
    const event = identityContract.interface.parseLog(log);
    if (event?.name === 'Registered') return BigInt(String(event.args['agentId']));
  }
  throw new Error('nothing was registered');
}

const identityDomain = () => ({
  name: 'ERC8004IdentityRegistry',
  version: '1',
  chainId: chain.chainId,
  verifyingContract: chain.contracts.identity,
});

async function proofOf(
  peer: Actor,
  to: Address,
  changes: { readonly deadline?: number; readonly nonce?: bigint; readonly signer?: Actor } = {},
) {
  const key = publicKeyParts(getBytes(new SigningKey(peer.privateKey).publicKey));
  const hash = peerIdHash(key.peerId);
  const nonce = changes.nonce ?? (await chain.read(chain.contracts.identity, identityContract, 'peerNonce', [hash]));
  const deadline = BigInt(changes.deadline ?? (await chain.now()) + 600);
  const message = { peerIdHash: hash, owner: to, nonce, deadline };
  const signer = changes.signer ?? peer;
  const signature = (await signer.wallet.signTypedData(identityDomain(), PEER_BINDING_TYPES, message)) as Hex;
  return { hash, peerId: key.peerId, proof: { x: key.x, y: key.y, deadline, ...compactSignature(signature) } };
}

const agentOf = (hash: Hex) => chain.read(chain.contracts.identity, identityContract, 'agentOfPeer', [hash]);
const peerOf = (id: bigint) => chain.read(chain.contracts.identity, identityContract, 'peerOf', [id]);
const walletOf = (id: bigint) => chain.read(chain.contracts.identity, identityContract, 'getAgentWallet', [id]);

describe('the identity registry', () => {
  it('registers in the three ways of ERC-8004, with the owner as first pay wallet', async () => {
    const plain = await register(owner);
    expect(await walletOf(plain)).toBe(owner.address);
    const withUri = registerData('register(string)', ['https://a']);
    const second = registeredIn((await onIdentity(owner, withUri)).logs);
    expect(second).toBe(plain + 1n);
    const entries = [{ metadataKey: 'gpu', metadataValue: '0x01' }];
    const third = registerData('register(string,(string,bytes)[])', ['https://b', entries]);
    const id = registeredIn((await onIdentity(owner, third)).logs);
    expect(await chain.read(chain.contracts.identity, identityContract, 'getMetadata', [id, 'gpu'])).toBe('0x01');
    expect(await chain.read(chain.contracts.identity, identityContract, 'tokenURI', [id])).toBe('https://b');
  });

  it('lets only owner and operators change an agent, and reserved keys nobody', async () => {
    const id = await register(owner);
    const set = (key: string) => identityContract.encode('setMetadata', [id, key, '0x02']);
    expect((await onIdentity(stranger, set('gpu'))).revert).toBe('ERC721InsufficientApproval');
    expect((await onIdentity(stranger, identityContract.encode('setAgentURI', [id, 'x']))).ok).toBe(false);
    expect((await onIdentity(stranger, identityContract.encode('retire', [id]))).ok).toBe(false);
    expect((await onIdentity(owner, set('agentWallet'))).revert).toBe('ReservedKey');
    expect((await onIdentity(owner, set('peerId'))).revert).toBe('ReservedKey');
    await chain.must(owner, chain.contracts.identity, identityContract.encode('approve', [stranger.address, id]));
    expect((await onIdentity(stranger, set('gpu'))).ok).toBe(true);
  });

  it('moves pay to another wallet only with that wallet’s own word, and takes it away on transfer', async () => {
    const id = await register(owner);
    const wallet = newActor();
    const types = {
      AgentWalletSet: [
        { name: 'agentId', type: 'uint256' },
        { name: 'newWallet', type: 'address' },
        { name: 'owner', type: 'address' },
        { name: 'deadline', type: 'uint256' },
      ],
    };
    const deadline = BigInt((await chain.now()) + 120);
    const message = { agentId: id, newWallet: wallet.address, owner: owner.address, deadline };
    const signed = (by: Actor) => by.wallet.signTypedData(identityDomain(), types, message) as Promise<Hex>;
    const set = async (by: Actor, until = deadline) =>
      identityContract.encode('setAgentWallet', [id, wallet.address, until, await signed(by)]);
    expect((await onIdentity(owner, await set(owner))).revert).toBe('ProofForged');
    expect((await onIdentity(owner, await set(wallet, deadline + 3600n))).revert).toBe('ProofExpired');
    expect((await onIdentity(owner, await set(wallet))).ok).toBe(true);
    expect(await walletOf(id)).toBe(wallet.address);
    await onIdentity(owner, identityContract.encode('transferFrom', [owner.address, stranger.address, id]));
    expect(await walletOf(id)).toBe(`0x${'00'.repeat(20)}`);
  });

  it('binds a peer that signed for this owner, and computes its id', async () => {
    const peer = newActor();
    const { hash, peerId, proof } = await proofOf(peer, owner.address);
    const outcome = await onIdentity(owner, identityContract.encode('registerPeer', ['hearth:node', proof]));
    const id = registeredIn(outcome.logs);
    expect(await agentOf(hash)).toBe(id);
    expect(await peerOf(id)).toBe(`0x${Buffer.from(peerId).toString('hex')}`);
    expect(await chain.read(chain.contracts.identity, identityContract, 'getMetadata', [id, 'peerId'])).toBe(
      await peerOf(id),
    );
  });

  it('believes no proof that is forged, used, expired, too far ahead, or for another owner', async () => {
    const peer = newActor();
    const bind = (proof: Awaited<ReturnType<typeof proofOf>>['proof']) =>
      identityContract.encode('registerPeer', ['', proof]);
    const now = await chain.now();
    const refused: readonly (readonly [string, Awaited<ReturnType<typeof proofOf>>])[] = [
      ['ProofForged', await proofOf(peer, owner.address, { signer: stranger })],
      ['ProofForged', await proofOf(peer, stranger.address)],
      ['ProofForged', await proofOf(peer, owner.address, { nonce: 1n })],
      ['ProofExpired', await proofOf(peer, owner.address, { deadline: now - 1 })],
      ['ProofExpired', await proofOf(peer, owner.address, { deadline: now + DAY })],
    ];
    for (const [reason, { proof }] of refused) expect((await onIdentity(owner, bind(proof))).revert).toBe(reason);
    const good = await proofOf(peer, owner.address);
    expect((await onIdentity(owner, bind({ ...good.proof, y: good.proof.x }))).revert).toBe('ProofForged');
    expect((await onIdentity(owner, bind(good.proof))).ok).toBe(true);
    expect((await onIdentity(owner, bind(good.proof))).revert).toBe('ProofForged');
  });

  it('keeps one agent to a peer and one peer to an agent, as their keys say last', async () => {
    const [one, two] = [newActor(), newActor()];
    const agent = await register(owner);
    const bind = async (peer: Actor, id: bigint, by: Actor) => {
      const { hash, proof } = await proofOf(peer, by.address);
      await chain.must(by, chain.contracts.identity, identityContract.encode('bindPeer', [id, proof]));
      return hash;
    };
    const first = await bind(one, agent, owner);
    const second = await bind(two, agent, owner);
    expect([await agentOf(first), await agentOf(second)]).toEqual([0n, agent]);
    const other = await register(stranger);
    await bind(two, other, stranger);
    expect([await agentOf(second), await peerOf(agent)]).toEqual([other, '0x']);
  });

  it('frees the peer when its agent is transferred, released or retired', async () => {
    const peer = newActor();
    for (const end of ['releasePeer', 'transferFrom', 'retire'] as const) {
      const { hash, proof } = await proofOf(peer, owner.address);
      const registered = await onIdentity(owner, identityContract.encode('registerPeer', ['', proof]));
      const id = registeredIn(registered.logs);
      expect(await agentOf(hash)).toBe(id);
      const data =
        end === 'transferFrom'
          ? identityContract.encode('transferFrom', [owner.address, stranger.address, id])
          : identityContract.encode(end, [id]);
      expect((await onIdentity(owner, data)).ok).toBe(true);
      expect([await agentOf(hash), await peerOf(id)]).toEqual([0n, '0x']);
    }
  });
});

describe('the reputation registry', () => {
  const give = (id: bigint, value: bigint, decimals = 0n, tag = 'inference') =>
    reputationContract.encode('giveFeedback', [id, value, decimals, tag, '', '', 'hearth:x', `0x${'ab'.repeat(32)}`]);

  async function customerOf(id: bigint, who: Actor): Promise<void> {
    const channel = await chain.open(who, await walletOf(id), COIN);
    const outcome = await chain.send(
      owner,
      chain.contracts.channels,
      settleData(await chain.voucher(channel, 1n, who)),
    );
    if (!outcome.ok) throw new Error(outcome.revert);
  }

  it('listens to those who paid the agent, and to nobody else', async () => {
    const id = await register(owner);
    expect((await onReputation(client, give(id, 80n))).revert).toBe('NotACustomer');
    await chain.open(client, owner.address, COIN);
    expect((await onReputation(client, give(id, 80n))).revert).toBe('NotACustomer');
    await customerOf(id, client);
    expect((await onReputation(client, give(id, 80n))).ok).toBe(true);
    expect((await onReputation(stranger, give(id, 0n))).revert).toBe('NotACustomer');
    expect((await onReputation(owner, give(id, 100n))).revert).toBe('SelfFeedback');
    expect((await onReputation(client, give(999n, 1n))).revert).toBe('ERC721NonexistentToken');
  });

  it('sums up what stands: counts, means over mixed decimals, tags, revocations, responses', async () => {
    const id = await register(owner);
    await customerOf(id, client);
    await customerOf(id, stranger);
    await onReputation(client, give(id, 90n));
    await onReputation(client, give(id, 7050n, 2n, 'training'));
    await onReputation(stranger, give(id, 5000n, 2n));
    const summary = async (clients: readonly Actor[], tag = '') => [
      ...(await chain.read(chain.contracts.reputation, reputationContract, 'getSummary', [
        id,
        clients.map((one) => one.address),
        tag,
        '',
      ])),
    ];
    expect(await summary([client, stranger])).toEqual([3n, 7016n, 2n]);
    expect(await summary([client], 'inference')).toEqual([1n, 90n, 0n]);
    await expect(summary([])).rejects.toMatchObject({
      data: reputationContract.interface.getError('ClientsRequired')?.selector,
    });

    expect((await onReputation(stranger, reputationContract.encode('revokeFeedback', [id, 1n]))).ok).toBe(true);
    expect((await onReputation(stranger, reputationContract.encode('revokeFeedback', [id, 1n]))).revert).toBe(
      'AlreadyRevoked',
    );
    expect((await onReputation(stranger, reputationContract.encode('revokeFeedback', [id, 2n]))).revert).toBe(
      'NoFeedback',
    );
    expect(await summary([client, stranger])).toEqual([2n, 80n, 0n]);

    const respond = reputationContract.encode('appendResponse', [
      id,
      client.address,
      1n,
      'hearth:r',
      `0x${'00'.repeat(32)}`,
    ]);
    await onReputation(owner, respond);
    await onReputation(owner, respond);
    const count = (from: Address, index: bigint, by: readonly Address[]) =>
      chain.read(chain.contracts.reputation, reputationContract, 'getResponseCount', [id, from, index, by]);
    expect(await count(client.address, 1n, [])).toBe(2n);
    expect(await count(`0x${'00'.repeat(20)}`, 0n, [owner.address])).toBe(2n);
    expect(await count(client.address, 2n, [])).toBe(0n);

    const all = await chain.read(chain.contracts.reputation, reputationContract, 'readAllFeedback', [
      id,
      [],
      '',
      '',
      true,
    ]);
    expect([[...all[0]], [...all[1]], [...all[6]]]).toEqual([
      [client.address, client.address, stranger.address],
      [1n, 2n, 1n],
      [false, false, true],
    ]);
    const read = await chain.read(chain.contracts.reputation, reputationContract, 'readFeedback', [
      id,
      client.address,
      2n,
    ]);
    expect([...read]).toEqual([7050n, 2n, 'training', '', false]);
  });

  it('refuses what would break its sums', async () => {
    const id = await register(owner);
    await customerOf(id, client);
    for (const data of [
      give(id, 1n, 19n),
      give(id, 10n ** 38n + 1n),
      give(id, -(10n ** 38n) - 1n),
      give(id, 1n, 0n, 'x'.repeat(65)),
    ]) {
      expect((await onReputation(client, data)).revert).toBe('InvalidFeedback');
    }
    expect((await onReputation(client, give(id, 10n ** 38n))).ok).toBe(true);
    expect((await onReputation(client, give(id, -(10n ** 38n), 18n))).ok).toBe(true);
  });
});

const PUBLISHED = path.resolve(import.meta.dirname, '../../../../shared/data/erc-8004');
const haveAbis = existsSync(PUBLISHED);
type PublishedAbi = readonly JsonFragment[] | { readonly abi: readonly JsonFragment[] };
/** Of the reference contracts' proxies and owner, not of the standard. */
const NOT_THE_STANDARD =
  /^(UPGRADE_INTERFACE_VERSION|initialize|owner|proxiableUUID|renounceOwnership|transferOwnership|upgradeToAndCall|Initialized|OwnershipTransferred|Upgraded)$/;

describe('ERC-8004', () => {
  it.skipIf(!haveAbis).each([
    ['IdentityRegistry', identityContract.interface],
    ['ReputationRegistry', reputationContract.interface],
  ])('%s has every function and event of the published ABI (needs ../shared/data)', (name, ours) => {
    const json = JSON.parse(readFileSync(path.join(PUBLISHED, `${name}.json`), 'utf8')) as PublishedAbi;
    const published = new Interface('abi' in json ? json.abi : json);
    const missing: string[] = [];
    published.forEachFunction((fragment) => {
      if (NOT_THE_STANDARD.test(fragment.name)) return;
      const own = ours.getFunction(fragment.selector);
      if (own?.format('full') !== fragment.format('full')) missing.push(fragment.format('full'));
    });
    published.forEachEvent((fragment) => {
      if (NOT_THE_STANDARD.test(fragment.name)) return;
      const own = ours.getEvent(fragment.topicHash);
      if (own?.format('full') !== fragment.format('full')) missing.push(fragment.format('full'));
    });
    expect(missing).toEqual([]);
    expect(published.getFunction(name === 'IdentityRegistry' ? 'setAgentURI' : 'giveFeedback')).not.toBeNull();
  });
});
