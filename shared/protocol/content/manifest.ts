import { err, ok } from '../../result.ts';
import type { Result } from '../../result.ts';
import { LIMITS } from '../limits.ts';
import type { Bitmap } from './bitmap.ts';
import { DIGEST_BYTES } from './cid.ts';
import { manifestInvalid } from './errors.ts';
import type { ContentFormatError } from './errors.ts';

/**
 * What a file is made of. Its encoding is DAG-CBOR, the map {v: 1, leaf, size, leaves: [link, ...]} in canonical form,
 * so any IPLD tool can read one and walk to its leaves, and the same leaves always give the same bytes and the same
 * CID. See docs/protocol/content.md, "Manifest".
 */
export interface Manifest {
  /** Size of every leaf but the last, a power of two from LIMITS.content.minLeafBytes to LIMITS.content.leafBytes. */
  readonly leafBytes: number;
  readonly totalBytes: number;
  /** SHA-256 of each leaf, one after the other, 32 bytes each. */
  readonly digests: Uint8Array;
}

export function leafCount(manifest: Manifest): number {
  return manifest.digests.byteLength / DIGEST_BYTES;
}

/** SHA-256 of one leaf, a view into the manifest. */
export function leafDigest(manifest: Manifest, index: number): Uint8Array {
  return manifest.digests.subarray(index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES);
}

export function leafOffset(manifest: Manifest, index: number): number {
  return index * manifest.leafBytes;
}

/** Bytes of one leaf: the leaf size, or what is left for the last one. */
export function leafSize(manifest: Manifest, index: number): number {
  return Math.min(manifest.leafBytes, manifest.totalBytes - leafOffset(manifest, index));
}

/** Bytes of the leaves in a bitmap. */
export function heldBytes(manifest: Manifest, have: Bitmap): number {
  const last = leafCount(manifest) - 1;
  const whole = have.count * manifest.leafBytes;
  return have.has(last) ? whole - manifest.leafBytes + leafSize(manifest, last) : whole;
}

const ascii = (text: string): number[] => Array.from(text, (character) => character.charCodeAt(0));
/** Map of four; "v": 1; then "leaf" and its number. Keys stand in DAG-CBOR's order: shorter first, then bytewise. */
const HEAD = Uint8Array.from([0xa4, 0x61, ...ascii('v'), 0x01, 0x64, ...ascii('leaf')]);
const SIZE = Uint8Array.from([0x64, ...ascii('size')]);
const LEAVES = Uint8Array.from([0x66, ...ascii('leaves')]);
/** Tag 42 (link), 37 bytes: the multibase identity prefix, CIDv1, codec raw, SHA-256, 32 bytes to follow. */
const LINK = Uint8Array.from([0xd8, 0x2a, 0x58, 0x25, 0x00, 0x01, 0x55, 0x12, 0x20]);
const LINK_BYTES = LINK.byteLength + DIGEST_BYTES;

const UNSIGNED = 0x00;
const ARRAY = 0x80;

/** CBOR's shortest head for a number that belongs to a major type. */
function cborHead(major: number, value: number): Uint8Array {
  if (value < 24) return Uint8Array.from([major | value]);
  const width = value < 2 ** 8 ? 1 : value < 2 ** 16 ? 2 : value < 2 ** 32 ? 4 : 8;
  const head = new Uint8Array(1 + width);
  head[0] = major | (24 + Math.log2(width));
  let rest = value;
  for (let index = width; index > 0; index -= 1) {
    head[index] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  return head;
}

/** The manifest's only encoding. Expects numbers within the limits, as `manifestProblem` says. */
export function encodeManifest(manifest: Manifest): Uint8Array {
  const problem = manifestProblem(manifest);
  if (problem !== undefined) throw new RangeError(problem);
  const count = leafCount(manifest);
  const parts = [
    HEAD,
    cborHead(UNSIGNED, manifest.leafBytes),
    SIZE,
    cborHead(UNSIGNED, manifest.totalBytes),
    LEAVES,
    cborHead(ARRAY, count),
  ];
  const headBytes = parts.reduce((sum, part) => sum + part.byteLength, 0);
  const bytes = new Uint8Array(headBytes + count * LINK_BYTES);
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.byteLength;
  }
  for (let index = 0; index < count; index += 1) {
    bytes.set(LINK, offset);
    bytes.set(leafDigest(manifest, index), offset + LINK.byteLength);
    offset += LINK_BYTES;
  }
  return bytes;
}

/** Says what breaks the limits or the arithmetic between size, leaf size and number of leaves. */
function manifestProblem({ leafBytes, totalBytes, digests }: Manifest): string | undefined {
  const { minLeafBytes, leafBytes: maxLeafBytes, fileBytes, leaves } = LIMITS.content;
  if (!(leafBytes >= minLeafBytes && leafBytes <= maxLeafBytes && Number.isInteger(Math.log2(leafBytes)))) {
    return `pieces of ${leafBytes} bytes; allowed are powers of two from ${minLeafBytes} to ${maxLeafBytes}`;
  }
  if (!(Number.isInteger(totalBytes) && totalBytes >= 0 && totalBytes <= fileBytes)) {
    return `${totalBytes} bytes in all; at most ${fileBytes} are allowed`;
  }
  const count = digests.byteLength / DIGEST_BYTES;
  const expected = Math.ceil(totalBytes / leafBytes);
  if (count !== expected) return `${count} pieces are listed where ${totalBytes} bytes make ${expected}`;
  if (count > leaves) return `${count} pieces; at most ${leaves} are allowed`;
  return undefined;
}

/** Reads the fields one after the other; answers undefined where the next bytes are not what a manifest has there. */
class Cursor {
  readonly #bytes: Uint8Array;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get atEnd(): boolean {
    return this.#offset === this.#bytes.byteLength;
  }

  literal(expected: Uint8Array): boolean {
    const found = this.take(expected.byteLength);
    return found !== undefined && expected.every((byte, index) => found[index] === byte);
  }

  number(major: number): number | undefined {
    const first = this.take(1)?.[0];
    if (first === undefined || (first & 0xe0) !== major) return undefined;
    const info = first & 0x1f;
    if (info < 24) return info;
    if (info > 27) return undefined;
    return this.take(2 ** (info - 24))?.reduce((value, byte) => value * 256 + byte, 0);
  }

  take(count: number): Uint8Array | undefined {
    if (this.#offset + count > this.#bytes.byteLength) return undefined;
    this.#offset += count;
    return this.#bytes.subarray(this.#offset - count, this.#offset);
  }
}

/**
 * Reads a manifest from a stranger. Anything but the one canonical encoding is refused: other keys, longer forms of
 * numbers, bytes behind the end. Allocates at most as much as the input.
 */
export function decodeManifest(bytes: Uint8Array): Result<Manifest, ContentFormatError> {
  if (bytes.byteLength > LIMITS.content.manifestBytes) {
    return err(manifestInvalid(`${bytes.byteLength} bytes; at most ${LIMITS.content.manifestBytes} are allowed`));
  }
  const cursor = new Cursor(bytes);
  const refused = (where: string) => err(manifestInvalid(`${where} is not as the specification has it`));
  if (!cursor.literal(HEAD)) return refused('its beginning');
  const leafBytes = cursor.number(UNSIGNED);
  if (leafBytes === undefined || !cursor.literal(SIZE)) return refused('the size of its pieces');
  const totalBytes = cursor.number(UNSIGNED);
  if (totalBytes === undefined || !cursor.literal(LEAVES)) return refused('its size');
  const count = cursor.number(ARRAY);
  if (count === undefined || count > bytes.byteLength / LINK_BYTES) return refused('the number of its pieces');
  const digests = new Uint8Array(count * DIGEST_BYTES);
  for (let index = 0; index < count; index += 1) {
    const digest = cursor.literal(LINK) ? cursor.take(DIGEST_BYTES) : undefined;
    if (digest === undefined) return refused(`piece ${index}`);
    digests.set(digest, index * DIGEST_BYTES);
  }
  if (!cursor.atEnd) return refused('its end');
  const manifest: Manifest = { leafBytes, totalBytes, digests };
  const problem = manifestProblem(manifest);
  if (problem !== undefined) return err(manifestInvalid(problem));
  // Everything else was compared literally; what is left is numbers written longer than need be.
  if (encodeManifest(manifest).byteLength !== bytes.byteLength) return refused('the form of a number');
  return ok(manifest);
}
