import { generateKeyPair, privateKeyFromRaw } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import secp256k1 from 'secp256k1';
import type { Secp256k1PrivateKey } from '@libp2p/interface';
import { peerIdText } from '#shared/units.ts';
import type { PeerIdText } from '#shared/units.ts';

/**
 * The key behind a peer id: secp256k1, so that the identity contract can check with ecrecover that whoever
 * registers a peer id holds its key.
 */
export interface PeerKey {
  readonly peerId: PeerIdText;
  /** 33 bytes, compressed. */
  readonly publicKey: Uint8Array;
  /** 65 bytes r ‖ s ‖ v over a 32-byte digest as it is; s is low, v is 27 or 28. */
  signDigest(digest: Uint8Array): Promise<Uint8Array>;
  /** 64 bytes r ‖ s; s is low. */
  signCompact(digest: Uint8Array): Uint8Array;
  readonly libp2p: Secp256k1PrivateKey;
}

export async function generatePeerKey(): Promise<PeerKey> {
  return peerKeyOf(await generateKeyPair('secp256k1'));
}

/** From the 32 bytes that peerKeyToBytes gave; throws where they are no secp256k1 private key. */
export function peerKeyFromBytes(bytes: Uint8Array): PeerKey {
  if (bytes.byteLength !== 32 || !secp256k1.privateKeyVerify(bytes)) {
    throw new Error('a peer key is 32 bytes and within the order of secp256k1');
  }
  const key = privateKeyFromRaw(bytes);
  if (key.type !== 'secp256k1') throw new Error(`a peer key must be secp256k1, this is ${key.type}`);
  return peerKeyOf(key);
}

/** The private key, 32 bytes: a secret. */
export function peerKeyToBytes(key: PeerKey): Uint8Array {
  return key.libp2p.raw;
}

function peerKeyOf(key: Secp256k1PrivateKey): PeerKey {
  const secret = key.raw;
  return {
    peerId: peerIdText(peerIdFromPrivateKey(key).toString()),
    publicKey: key.publicKey.raw,
    signDigest: async (digest) => {
      const { signature, recid } = secp256k1.ecdsaSign(digest, secret);
      const whole = new Uint8Array(65);
      whole.set(signature);
      whole[64] = 27 + recid;
      return whole;
    },
    signCompact: (digest) => secp256k1.ecdsaSign(digest, secret).signature,
    libp2p: key,
  };
}
