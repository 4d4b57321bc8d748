import { TypedDataEncoder } from 'ethers';
import { sameAddress, type Address, type Hex, type PeerIdText } from '#shared/units.ts';
import { identityContract } from './abi.ts';
import { attempt, fail } from './errors.ts';
import { peerIdBytes, peerIdHash, publicKeyParts } from './peer-id.ts';
import type { AgentIdentity, Identities } from './port.ts';
import { chainTime, type ContractReader } from './reader.ts';
import type { RpcRequest } from './rpc/rpc.ts';
import type { TransactionSender } from './transactions.ts';
import type { Secp256k1 } from './vouchers/secp256k1.ts';
import { addressOf, compactSignature, recoverAddress } from './vouchers/signature.ts';

export interface IdentitiesOptions {
  readonly chainId: number;
  readonly account: Address;
  readonly identity: Address;
  readonly request: RpcRequest;
  readonly reader: ContractReader;
  readonly sender: TransactionSender;
  readonly secp256k1: Secp256k1;
}

type RegisterOptions = Parameters<Identities['register']>[0];

/** EIP-712 types of the statement by which a peer's key names its owner. */
export const PEER_BINDING_TYPES = {
  PeerBinding: [
    { name: 'peerIdHash', type: 'bytes32' },
    { name: 'owner', type: 'address' },
    { name: 'nonce', type: 'uint256' },
    { name: 'deadline', type: 'uint256' },
  ],
};
/** The contract takes proofs that end within the hour by its own clock. */
const PROOF_SECONDS = 30 * 60;

export function createIdentities(options: IdentitiesOptions): Identities {
  const { account, identity, sender } = options;

  async function byPeer(peerId: PeerIdText): Promise<AgentIdentity | undefined> {
    const bytes = peerIdBytes(peerId);
    // Other kinds of key cannot be bound, so they are registered to nobody.
    if (!bytes) return undefined;
    const { reader } = options;
    const agentId = await reader.read(identity, identityContract, 'agentOfPeer', [peerIdHash(bytes)]);
    if (agentId === 0n) return undefined;
    const [owner, wallet] = await Promise.all([
      reader.read(identity, identityContract, 'ownerOf', [agentId]),
      reader.read(identity, identityContract, 'getAgentWallet', [agentId]),
    ]);
    return { agentId, owner, wallet, peerId };
  }

  return {
    byPeer: (peerId) => attempt(() => byPeer(peerId)),
    register: (node) =>
      attempt(async () => {
        const before = await byPeer(node.peerId);
        if (before && sameAddress(before.owner, account)) return before;
        const proof = await prove(options, node);
        await sender.send({ to: identity, data: identityContract.encode('registerPeer', [node.uri, proof]) });
        return (
          (await byPeer(node.peerId)) ??
          fail('chain.not_found', 'The node was registered, but the chain does not show it yet.')
        );
      }),
  };
}

/** The peer key's statement, checked here first: a wrong one would only burn gas. */
async function prove(options: IdentitiesOptions, node: RegisterOptions) {
  const { chainId, account, identity, reader, secp256k1 } = options;
  const bytes = peerIdBytes(node.peerId);
  const key = publicKeyParts(node.peerPublicKey);
  if (!bytes || Buffer.compare(bytes, key.peerId) !== 0) {
    return fail('chain.reverted', 'The peer id does not belong to this public key, or its key is not secp256k1.', {
      data: { reason: 'ProofForged' },
    });
  }
  const hash = peerIdHash(bytes);
  const nonce = await reader.read(identity, identityContract, 'peerNonce', [hash]);
  const deadline = BigInt((await chainTime(options.request)) + PROOF_SECONDS);
  const domain = { name: 'ERC8004IdentityRegistry', version: '1', chainId, verifyingContract: identity };
  const message = { peerIdHash: hash, owner: account, nonce, deadline };
  const digest = Buffer.from(TypedDataEncoder.hash(domain, PEER_BINDING_TYPES, message).slice(2), 'hex');
  const signature = withRecovery(secp256k1, digest, await node.sign(digest), key.uncompressed);
  if (!signature)
    return fail('chain.reverted', 'The peer key did not sign as it should.', { data: { reason: 'ProofForged' } });
  return { x: key.x, y: key.y, deadline, ...compactSignature(signature) };
}

/** Accepts r ‖ s with or without v, and finds the v that leads to the key. */
function withRecovery(
  secp256k1: Secp256k1,
  digest: Uint8Array,
  signature: Uint8Array,
  publicKey: Uint8Array,
): Hex | undefined {
  const wanted = addressOf(publicKey);
  for (const v of [27, 28]) {
    const candidate = Buffer.concat([signature.subarray(0, 64), Uint8Array.of(v)]);
    if (recoverAddress(secp256k1, digest, candidate) === wanted) return `0x${candidate.toString('hex')}`;
  }
  return undefined;
}
