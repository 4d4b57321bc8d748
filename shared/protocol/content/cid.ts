import { CID } from 'multiformats/cid';
import { create as createDigest } from 'multiformats/hashes/digest';
import { err, ok } from '../../result.ts';
import type { Result } from '../../result.ts';
import { cidInvalid } from './errors.ts';
import type { ContentFormatError } from './errors.ts';

/** CIDv1 in base32, codec dag-cbor, SHA-256: the name of a manifest, and so of a file and all of its leaves. */
export type ManifestCid = string & { readonly __content: 'manifest' };

const DAG_CBOR = 0x71;
const SHA2_256 = 0x12;
export const DIGEST_BYTES = 32;
/** Version, codec, hash function, digest length, digest. */
export const CID_BYTES = 4 + DIGEST_BYTES;

/** "bafyrei" is what version, codec and hash function come to in base32. */
const TEXT = /^bafyrei[a-z2-7]{52}$/;

/** The name of the manifest with this SHA-256 digest (32 bytes). */
export function cidOfDigest(digest: Uint8Array): ManifestCid {
  if (digest.byteLength !== DIGEST_BYTES) throw new RangeError(`a SHA-256 digest has ${DIGEST_BYTES} bytes`);
  return CID.createV1(DAG_CBOR, createDigest(SHA2_256, digest)).toString() as ManifestCid;
}

/** Checks a name that came from a user, a file or a peer. Other bases, codecs and hash functions are refused. */
export function parseManifestCid(text: string): Result<ManifestCid, ContentFormatError> {
  if (!TEXT.test(text)) return err(cidInvalid('it is not a version 1 CID in base32 with codec dag-cbor and SHA-256'));
  try {
    // The last character carries one bit that has no meaning; only the canonical spelling names a folder or a lock.
    if (CID.parse(text).toString() !== text) return err(cidInvalid('it is not spelled canonically'));
  } catch {
    return err(cidInvalid('it is not base32'));
  }
  return ok(text as ManifestCid);
}

/** The SHA-256 digest within a name. */
export function digestOfCid(cid: ManifestCid): Uint8Array {
  return CID.parse(cid).multihash.digest;
}

/** The name's binary form, 36 bytes: what messages carry. */
export function cidToBytes(cid: ManifestCid): Uint8Array {
  return CID.parse(cid).bytes;
}

export function cidFromBytes(bytes: Uint8Array): Result<ManifestCid, ContentFormatError> {
  const prefix = [0x01, DAG_CBOR, SHA2_256, DIGEST_BYTES];
  if (bytes.byteLength !== CID_BYTES || prefix.some((byte, index) => bytes[index] !== byte)) {
    return err(cidInvalid(`its binary form must be ${CID_BYTES} bytes that begin 01 71 12 20`));
  }
  return ok(cidOfDigest(bytes.slice(prefix.length)));
}
