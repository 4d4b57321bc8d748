import { setImmediate } from 'node:timers/promises';
import { DIGEST_BYTES } from '#shared/protocol/content/cid.ts';
import type { ManifestCid } from '#shared/protocol/content/cid.ts';
import { encodeManifest, leafCount, leafOffset, leafSize } from '#shared/protocol/content/manifest.ts';
import type { Manifest } from '#shared/protocol/content/manifest.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import { err, ok } from '#shared/result.ts';
import type { Result } from '#shared/result.ts';
import type { ContentStore } from './disk/store.ts';
import type { OpenEntry } from './disk/open-entry.ts';
import { cancelled, sourceChanged, tooLarge } from './errors.ts';
import { cidOf, sha256 } from './hash.ts';
import type { ContentError } from './port.ts';
import type { Source } from './source.ts';

/** Hashing this many leaves takes a few milliseconds; then others get their turn on the thread. */
const LEAVES_PER_TURN = 8;

/** Names what the source holds and copies it into the store, unless it is there already. */
export async function addSource(
  store: ContentStore,
  source: Source,
  options: { readonly pin: boolean; readonly signal: AbortSignal },
): Promise<Result<ManifestCid, ContentError>> {
  const manifest = await manifestOf(source, options.signal);
  if (!manifest.ok) return manifest;
  const bytes = encodeManifest(manifest.value);
  const cid = cidOf(bytes);
  const lease = await store.reserve(cid, manifest.value, bytes, options.pin);
  if (!lease.ok) return lease;
  try {
    const copied = await copy(lease.value.entry, source, options.signal);
    if (!copied.ok) return copied;
    const pinned = options.pin ? await store.setPinned(cid, true) : ok();
    return pinned.ok ? ok(cid) : pinned;
  } finally {
    lease.value.release();
  }
}

/** The manifest with leaves of the standard size: the same bytes always get the same name. */
export async function manifestOf(source: Source, signal: AbortSignal): Promise<Result<Manifest, ContentError>> {
  const { totalBytes } = source;
  const { leafBytes, fileBytes } = LIMITS.content;
  if (totalBytes > fileBytes) return err(tooLarge(undefined, totalBytes, fileBytes));
  const digests = new Uint8Array(Math.ceil(totalBytes / leafBytes) * DIGEST_BYTES);
  const manifest: Manifest = { leafBytes, totalBytes, digests };
  for (let index = 0; index < leafCount(manifest); index += 1) {
    if (signal.aborted) return err(cancelled());
    const leaf = await source.read(leafOffset(manifest, index), leafSize(manifest, index));
    if (!leaf.ok) return leaf;
    digests.set(sha256(leaf.value), index * DIGEST_BYTES);
    if (index % LEAVES_PER_TURN === LEAVES_PER_TURN - 1) await setImmediate();
  }
  return ok(manifest);
}

async function copy(entry: OpenEntry, source: Source, signal: AbortSignal): Promise<Result<void, ContentError>> {
  if (entry.complete) return ok();
  const checked = await entry.recheck(signal);
  if (!checked.ok) return checked;
  for (const index of entry.have.missing()) {
    if (signal.aborted) return err(cancelled());
    const leaf = await source.read(leafOffset(entry.manifest, index), leafSize(entry.manifest, index));
    if (!leaf.ok) return leaf;
    const put = await entry.putLeaf(index, leaf.value);
    if (!put.ok) return put.error.code === 'content.wrong_bytes' ? err(sourceChanged()) : put;
    if (index % LEAVES_PER_TURN === LEAVES_PER_TURN - 1) await setImmediate();
  }
  return entry.finish();
}
