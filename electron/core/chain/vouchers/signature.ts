import { keccak256 } from 'ethers';
import type { Address, Hex } from '#shared/units.ts';
import type { Secp256k1 } from './secp256k1.ts';

/** Half of secp256k1's order: a valid signature has a twin with s above it, which EIP-2 and our contracts refuse. */
const HALF_ORDER = Buffer.from('7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0', 'hex');
const SIGNATURE_BYTES = 65;

/** Signs a 32-byte digest as it is: 65 bytes r ‖ s ‖ v, s low, v 27 or 28. */
export function signDigest(secp256k1: Secp256k1, digest: Uint8Array, privateKey: Uint8Array): Uint8Array {
  const { signature, recovery } = secp256k1.sign(digest, privateKey);
  const whole = new Uint8Array(SIGNATURE_BYTES);
  whole.set(signature);
  whole[64] = 27 + recovery;
  return whole;
}

/** Address of the key that made this 65-byte signature; undefined where it is malformed, high-s, or nobody's. */
export function recoverAddress(secp256k1: Secp256k1, digest: Uint8Array, signature: Uint8Array): Address | undefined {
  if (signature.byteLength !== SIGNATURE_BYTES) return undefined;
  const v = signature[64];
  if (v !== 27 && v !== 28) return undefined;
  if (Buffer.compare(signature.subarray(32, 64), HALF_ORDER) > 0) return undefined;
  const publicKey = secp256k1.recover(digest, signature.subarray(0, 64), v - 27);
  return publicKey === undefined ? undefined : addressOf(publicKey);
}

/** EVM address of an uncompressed public key (65 bytes), lower case. */
export function addressOf(publicKey: Uint8Array): Address {
  return `0x${keccak256(publicKey.subarray(1)).slice(26)}`;
}

/** ERC-2098: s with v's parity in its top bit. */
export function compactSignature(signature: Hex): { readonly r: Hex; readonly vs: Hex } {
  const bytes = Buffer.from(signature.slice(2), 'hex');
  if (bytes.length !== SIGNATURE_BYTES) throw new RangeError('a signature has 65 bytes');
  const vs = Buffer.from(bytes.subarray(32, 64));
  if (bytes[64] === 28) vs[0] = (vs[0] ?? 0) | 0x80;
  return { r: `0x${bytes.subarray(0, 32).toString('hex')}`, vs: `0x${vs.toString('hex')}` };
}
