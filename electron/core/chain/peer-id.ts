import { SigningKey, concat, keccak256 } from 'ethers';
import { base58btc } from 'multiformats/bases/base58';
import { CID } from 'multiformats/cid';
import { base36 } from 'multiformats/bases/base36';
import { peerIdText, type Hex, type PeerIdText } from '#shared/units.ts';

/** libp2p's identity multihash of a PublicKey message with a secp256k1 key: 0x00, 37 bytes; type 2; 33 bytes follow. */
const PREFIX = Uint8Array.of(0x00, 0x25, 0x08, 0x02, 0x12, 0x21);
const PEER_ID_BYTES = 39;
/** Longest text form (base36 CID) is 65 characters. */
const MAX_TEXT = 80;

/** The 39 bytes of a secp256k1 peer id; undefined for any other text, other kinds of key included. */
export function peerIdBytes(peerId: PeerIdText): Uint8Array | undefined {
  if (peerId.length > MAX_TEXT) return undefined;
  try {
    const bytes = peerId.startsWith('1') ? base58btc.baseDecode(peerId) : CID.parse(peerId, base36).multihash.bytes;
    return bytes.byteLength === PEER_ID_BYTES && PREFIX.every((byte, i) => bytes[i] === byte) ? bytes : undefined;
  } catch {
    return undefined;
  }
}

export function peerIdFromBytes(bytes: Uint8Array): PeerIdText {
  return peerIdText(base58btc.baseEncode(bytes));
}

/** What the identity contract indexes by. */
export function peerIdHash(bytes: Uint8Array): Hex {
  return keccak256(bytes) as Hex;
}

/** A peer's public key (33 or 65 bytes) as the contract wants it. Throws where it is no point of the curve. */
export function publicKeyParts(publicKey: Uint8Array): {
  readonly x: Hex;
  readonly y: Hex;
  readonly uncompressed: Uint8Array;
  readonly peerId: Uint8Array;
} {
  const hex = SigningKey.computePublicKey(publicKey, false);
  const compressed = SigningKey.computePublicKey(publicKey, true);
  return {
    x: `0x${hex.slice(4, 68)}`,
    y: `0x${hex.slice(68)}`,
    uncompressed: Buffer.from(hex.slice(2), 'hex'),
    peerId: Buffer.from(concat([PREFIX, compressed]).slice(2), 'hex'),
  };
}
