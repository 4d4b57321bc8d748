import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LIMITS } from '#shared/protocol/limits.ts';
import { cidFromBytes, cidOfDigest, cidToBytes, digestOfCid, parseManifestCid } from '#shared/protocol/content/cid.ts';
import { decodeManifest, encodeManifest, leafCount, leafSize } from '#shared/protocol/content/manifest.ts';
import type { Manifest } from '#shared/protocol/content/manifest.ts';

const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest();

function manifest(totalBytes: number, leafBytes = 16_384): Manifest {
  const count = Math.ceil(totalBytes / leafBytes);
  const digests = new Uint8Array(count * 32);
  for (let index = 0; index < count; index += 1) digests.set(sha256(Uint8Array.of(index, index >> 8)), index * 32);
  return { leafBytes, totalBytes, digests };
}

describe('a manifest', () => {
  it('comes back from its encoding, whatever its size', () => {
    for (const bytes of [0, 1, 16_383, 16_384, 16_385, 16_384 * 24, 16_384 * 300]) {
      const original = manifest(bytes);
      expect(decodeManifest(encodeManifest(original))).toEqual({ ok: true, value: original });
    }
  });

  it('of the largest file fits the limits and one data frame', () => {
    const largest = manifest(LIMITS.content.fileBytes, LIMITS.content.leafBytes);
    const bytes = encodeManifest(largest);
    expect(leafCount(largest)).toBe(LIMITS.content.leaves);
    expect(bytes.byteLength).toBeLessThanOrEqual(LIMITS.content.manifestBytes);
    expect(bytes.byteLength).toBeLessThanOrEqual(LIMITS.frame.dataBytes);
    expect(decodeManifest(bytes)).toEqual({ ok: true, value: largest });
  });

  it('gives the last leaf what is left', () => {
    const uneven = manifest(16_384 * 2 + 5);
    expect([0, 1, 2].map((index) => leafSize(uneven, index))).toEqual([16_384, 16_384, 5]);
  });

  it('has one encoding: every other spelling of it is refused', () => {
    const bytes = encodeManifest(manifest(20_000));
    // The total, 20 000, written with four bytes instead of two.
    const at = bytes.findIndex((byte, index) => byte === 0x19 && bytes[index + 1] === 0x4e);
    const longer = Uint8Array.from([...bytes.slice(0, at), 0x1a, 0, 0, ...bytes.slice(at + 1)]);
    expect(decodeManifest(longer)).toMatchObject({ ok: false, error: { code: 'content.manifest_invalid' } });
    const trailing = Uint8Array.from([...bytes, 0]);
    expect(decodeManifest(trailing)).toMatchObject({ ok: false, error: { code: 'content.manifest_invalid' } });
  });

  it.each([
    ['too many leaves for its size', { ...manifest(20_000), totalBytes: 10_000 }],
    ['too few leaves for its size', { ...manifest(20_000), totalBytes: 40_000 }],
    ['leaves that are too small', manifest(20_000, 8192)],
    ['leaves that are too large', manifest(20_000, 2 * 1024 * 1024)],
    ['a leaf size that is no power of two', manifest(20_000, 20_000)],
    ['more bytes than allowed', { ...manifest(0), totalBytes: LIMITS.content.fileBytes + 1 }],
  ])('with %s is neither written nor read', (_what, hostile) => {
    expect(() => encodeManifest(hostile)).toThrow(RangeError);
    expect(decodeManifest(handmade(hostile))).toMatchObject({
      ok: false,
      error: { code: 'content.manifest_invalid' },
    });
  });

  it('that claims more leaves than it carries is refused before anything is allocated for them', () => {
    const bytes = Uint8Array.from([...handmade(manifest(0)).slice(0, -1), 0x9b, 0, 0, 0, 1, 0, 0, 0, 0]);
    expect(decodeManifest(bytes)).toMatchObject({ ok: false, error: { code: 'content.manifest_invalid' } });
  });

  it('from a stranger never does more than be refused', () => {
    const valid = encodeManifest(manifest(50_000));
    const garbled = fc
      .tuple(fc.nat(valid.byteLength - 1), fc.integer({ min: 1, max: 255 }), fc.nat(valid.byteLength))
      .map(([at, change, length]) => {
        const copy = valid.slice(0, length);
        if (at < length) copy[at] = (copy[at] ?? 0) ^ change;
        return copy;
      });
    fc.assert(
      fc.property(fc.oneof(garbled, fc.uint8Array({ maxLength: 200 })), (bytes) => {
        const read = decodeManifest(bytes);
        // What is read is what was written: no second spelling slips through.
        return read.ok
          ? Buffer.compare(encodeManifest(read.value), bytes) === 0
          : read.error.code === 'content.manifest_invalid';
      }),
      { numRuns: 2000 },
    );
  });
});

/** The encoding without its checks, for manifests that ours refuses to write. */
function handmade({ leafBytes, totalBytes, digests }: Manifest): Uint8Array {
  const number = (major: number, value: number): Buffer => {
    if (value < 24) return Buffer.of(major | value);
    const head = Buffer.alloc(value < 65_536 ? 3 : value < 2 ** 32 ? 5 : 9);
    if (head.length === 3) head.writeUInt16BE(value, 1);
    else if (head.length === 5) head.writeUInt32BE(value, 1);
    else head.writeBigUInt64BE(BigInt(value), 1);
    head[0] = major | (head.length === 3 ? 25 : head.length === 5 ? 26 : 27);
    return head;
  };
  const links = Array.from({ length: digests.byteLength / 32 }, (_, index) =>
    Buffer.concat([Buffer.from('d82a58250001551220', 'hex'), digests.slice(index * 32, index * 32 + 32)]),
  );
  return Buffer.concat([
    Buffer.from('a4617601646c656166', 'hex'),
    number(0x00, leafBytes),
    Buffer.from('6473697a65', 'hex'),
    number(0x00, totalBytes),
    Buffer.from('666c6561766573', 'hex'),
    number(0x80, links.length),
    ...links,
  ]);
}

describe("a manifest's name", () => {
  const digest = sha256(encodeManifest(manifest(20_000)));
  const cid = cidOfDigest(digest);

  it('survives text and bytes and holds the digest', () => {
    expect(parseManifestCid(cid)).toEqual({ ok: true, value: cid });
    expect(cidFromBytes(cidToBytes(cid))).toEqual({ ok: true, value: cid });
    expect(Buffer.from(digestOfCid(cid)).equals(digest)).toBe(true);
  });

  it('in another base, codec, hash function, spelling or length is refused', () => {
    const last = cid.at(-1) ?? '';
    const alphabet = 'abcdefghijklmnopqrstuvwxyz234567';
    // The last character's lowest bits are padding: this one decodes to the same bytes.
    const twin = cid.slice(0, -1) + (alphabet[alphabet.indexOf(last) ^ 1] ?? '');
    const others = ['', 'bafyrei', cid.toUpperCase(), `${cid}a`, cid.slice(0, -1), twin, `../${cid.slice(3)}`];
    others.push(
      'bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy',
      'QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG',
    );
    for (const text of others) {
      expect({ text, ...parseManifestCid(text) }).toMatchObject({
        text,
        ok: false,
        error: { code: 'content.cid_invalid' },
      });
    }
    expect(cidFromBytes(cidToBytes(cid).slice(1)).ok).toBe(false);
    expect(cidFromBytes(cidToBytes(cid).slice(0, -1)).ok).toBe(false);
  });
});
