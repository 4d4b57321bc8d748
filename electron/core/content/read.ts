import type { ManifestCid } from '#shared/protocol/content/cid.ts';
import { leafOffset, leafSize } from '#shared/protocol/content/manifest.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import { err, ok } from '#shared/result.ts';
import type { Result } from '#shared/result.ts';
import type { OpenEntry } from './disk/open-entry.ts';
import type { ContentStore } from './disk/store.ts';
import { notFound, rangeInvalid, tooLarge } from './errors.ts';
import type { ContentError } from './port.ts';

export interface Span {
  readonly offset: number;
  readonly length: number;
}

/** Verified bytes of complete content, all of them where no span is given; held in memory, so bounded. */
export async function readContent(
  store: ContentStore,
  cid: ManifestCid,
  span?: Span,
): Promise<Result<Uint8Array, ContentError>> {
  const lease = await store.lease(cid);
  if (!lease.ok) return lease;
  try {
    const { entry } = lease.value;
    if (!entry.complete) return err(notFound(cid));
    const { totalBytes } = entry.manifest;
    const { offset, length } = span ?? { offset: 0, length: totalBytes };
    const within = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
    if (!within || offset + length > totalBytes) return err(rangeInvalid(offset, length, totalBytes));
    if (length > LIMITS.content.readBytes) return err(tooLarge(cid, length, LIMITS.content.readBytes));
    return await readLeaves(entry, { offset, length });
  } finally {
    lease.value.release();
  }
}

async function readLeaves(entry: OpenEntry, { offset, length }: Span): Promise<Result<Uint8Array, ContentError>> {
  const { manifest } = entry;
  const bytes = new Uint8Array(length);
  const end = offset + length;
  for (let index = Math.floor(offset / manifest.leafBytes); leafOffset(manifest, index) < end; index += 1) {
    const start = leafOffset(manifest, index);
    const whole = start >= offset && start + leafSize(manifest, index) <= end;
    const into = whole ? bytes.subarray(start - offset, start - offset + leafSize(manifest, index)) : undefined;
    const leaf = await entry.readLeaf(index, into);
    if (!leaf.ok) return leaf;
    if (whole) continue;
    const from = Math.max(offset, start);
    bytes.set(leaf.value.subarray(from - start, end - start), from - offset);
  }
  return ok(bytes);
}
