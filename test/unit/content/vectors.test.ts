import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { Bitmap } from '#shared/protocol/content/bitmap.ts';
import { cidFromBytes, cidOfDigest, cidToBytes, parseManifestCid } from '#shared/protocol/content/cid.ts';
import type { ManifestCid } from '#shared/protocol/content/cid.ts';
import { decodeManifest, encodeManifest } from '#shared/protocol/content/manifest.ts';
import { decodeRequest, decodeResponse, encodeRequest, encodeResponse } from '#shared/protocol/content/messages.ts';
import type { ContentRequest, ContentResponse } from '#shared/protocol/content/messages.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import { addSource } from '#core/content/add.ts';
import { nodeFiles } from '#core/content/disk/files.ts';
import { ContentStore } from '#core/content/disk/store.ts';
import { bytesSource } from '#core/content/source.ts';
import { tempDir } from '#support/temp-dir.ts';
import { value } from './parts/rig.ts';

type WrittenDescription = Omit<Extract<ContentResponse, { kind: 'description' }>, 'have'> & { readonly have: string };

interface Vectors {
  readonly manifests: readonly {
    readonly name: string;
    readonly totalBytes: number;
    readonly leafBytes: number;
    readonly leaves: readonly string[];
    readonly manifest: string;
    readonly cid: ManifestCid;
    readonly cidBytes: string;
  }[];
  readonly refusedManifests: readonly { readonly why: string; readonly manifest: string }[];
  readonly refusedCids: readonly { readonly why: string; readonly cid: string }[];
  readonly bitmaps: readonly { readonly leaves: number; readonly have: readonly number[]; readonly bytes: string }[];
  readonly requests: readonly { readonly message: ContentRequest; readonly wire: string }[];
  /** A description's bitmap is hexadecimal. */
  readonly responses: readonly {
    readonly message: Exclude<ContentResponse, { kind: 'description' }> | WrittenDescription;
    readonly wire: string;
  }[];
  readonly refusedRequests: readonly { readonly why: string; readonly wire: string }[];
}

const vectors = JSON.parse(
  readFileSync(path.join(import.meta.dirname, '../../vectors/content.json'), 'utf8'),
) as Vectors;
const unhex = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'));
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('the vectors of the content protocol', () => {
  it.each(vectors.manifests.map((vector) => [vector.name, vector] as const))(
    'manifest of %s',
    async (_name, vector) => {
      const bytes = unhex(vector.manifest);
      const manifest = {
        leafBytes: vector.leafBytes,
        totalBytes: vector.totalBytes,
        digests: unhex(vector.leaves.join('')),
      };
      expect(hex(encodeManifest(manifest))).toBe(vector.manifest);
      expect(decodeManifest(bytes)).toEqual({ ok: true, value: manifest });
      expect(cidOfDigest(createHash('sha256').update(bytes).digest())).toBe(vector.cid);
      expect(hex(cidToBytes(vector.cid))).toBe(vector.cidBytes);
      expect(cidFromBytes(unhex(vector.cidBytes))).toEqual({ ok: true, value: vector.cid });
      // What we name by ourselves has leaves of the standard size.
      const standard = vector.leafBytes === LIMITS.content.leafBytes;
      const content = Uint8Array.from({ length: vector.totalBytes }, (_, index) => index % 251);
      const named = await nameOf(content);
      expect(named === vector.cid).toBe(standard);
    },
  );

  it('manifests and names that are refused', () => {
    for (const { why, manifest } of vectors.refusedManifests) {
      const refused = { why, ...decodeManifest(unhex(manifest)) };
      expect(refused).toMatchObject({ why, ok: false, error: { code: 'content.manifest_invalid' } });
    }
    for (const { why, cid } of vectors.refusedCids) {
      expect({ why, ...parseManifestCid(cid) }).toMatchObject({
        why,
        ok: false,
        error: { code: 'content.cid_invalid' },
      });
    }
  });

  it('bitmaps', () => {
    for (const { leaves, have, bytes } of vectors.bitmaps) {
      const bitmap = new Bitmap(leaves);
      for (const index of have) bitmap.set(index);
      expect(hex(bitmap.bytes)).toBe(bytes);
    }
  });

  it('requests and responses, there and back', () => {
    for (const { message, wire } of vectors.requests) {
      expect(hex(encodeRequest(message))).toBe(wire);
      expect(decodeRequest(unhex(wire))).toEqual({ ok: true, value: message });
    }
    for (const { message: written, wire } of vectors.responses) {
      const message = written.kind === 'description' ? { ...written, have: unhex(written.have) } : written;
      expect(hex(encodeResponse(message))).toBe(wire);
      expect(decodeResponse(unhex(wire))).toEqual({ ok: true, value: message });
    }
  });

  it('requests that are refused', () => {
    for (const { why, wire } of vectors.refusedRequests) {
      const refused = { why, ...decodeRequest(unhex(wire)) };
      expect(refused).toMatchObject({ why, ok: false, error: { code: 'content.message_invalid' } });
    }
  });
});

async function nameOf(content: Uint8Array): Promise<ManifestCid> {
  const options = { files: nodeFiles, directory: tempDir(), budgetBytes: 1 << 24, now: () => 0 };
  const store = value(await ContentStore.open(options));
  const { signal } = new AbortController();
  const cid = value(await addSource(store, bytesSource(content), { pin: false, signal }));
  await store.close();
  return cid;
}
