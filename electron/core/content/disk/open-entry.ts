import path from 'node:path';
import { Bitmap, bitmapBytes, fullBitmap } from '#shared/protocol/content/bitmap.ts';
import type { ManifestCid } from '#shared/protocol/content/cid.ts';
import { decodeManifest, leafCount, leafOffset, leafSize } from '#shared/protocol/content/manifest.ts';
import type { Manifest } from '#shared/protocol/content/manifest.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import { err, ok } from '#shared/result.ts';
import type { Result } from '#shared/result.ts';
import { damaged, notFound, wrongBytes } from '../errors.ts';
import { cidOf, isLeaf } from '../hash.ts';
import type { ContentError } from '../port.ts';
import { Serial } from '../serial.ts';
import type { Files, OpenFile } from './files.ts';
import { guarded } from './guard.ts';
import { writeRecord } from './record.ts';
import type { EntryRecord, RecordFile } from './record.ts';

const MANIFEST = 'manifest.cbor';
const DATA = 'data';
const HAVE = 'have';

/** Writes the files of a new, empty entry; the record comes last and makes it one. A failure leaves no entry. */
export async function createEntry(
  files: Files,
  folder: string,
  manifest: Manifest,
  manifestBytes: Uint8Array,
  record: EntryRecord,
): Promise<Result<void, ContentError>> {
  const created = await guarded(folder, 'a new folder for content', async () => {
    await files.makeFolder(folder);
    await files.replace(path.join(folder, MANIFEST), manifestBytes);
    await files.replace(path.join(folder, HAVE), new Uint8Array(bitmapBytes(leafCount(manifest))));
    const data = await files.open(path.join(folder, DATA), 'w+');
    try {
      // Sparse: takes no room yet, but a disk that cannot hold a file so large says so now.
      await data.truncate(manifest.totalBytes);
    } finally {
      await data.close();
    }
    await writeRecord(files, folder, record);
  });
  if (!created.ok) await guarded(folder, 'to tidy up', () => files.remove(folder));
  return created;
}

/**
 * One content with its file open. Every leaf is hashed on its way in and whenever it is read for use here: a bit in the
 * bitmap is a hint that saves downloading, never a reason to believe the disk. For peers, who hash what they get, a leaf
 * is hashed once for as long as the file is open: a second time would cost a fifth of what an upload takes.
 */
export class OpenEntry {
  readonly cid: ManifestCid;
  readonly manifest: Manifest;
  readonly manifestBytes: Uint8Array;
  readonly #files: Files;
  readonly #folder: string;
  readonly #record: RecordFile;
  readonly #data: OpenFile;
  readonly #serial = new Serial();
  #have: Bitmap;
  /** Leaves that were as they should be at some time since the file was opened. */
  readonly #checked: Bitmap;
  /** Open while the entry is incomplete. */
  #haveFile: OpenFile | undefined;

  private constructor(parts: {
    files: Files;
    folder: string;
    cid: ManifestCid;
    manifest: Manifest;
    manifestBytes: Uint8Array;
    record: RecordFile;
    data: OpenFile;
    have: Bitmap;
    haveFile: OpenFile | undefined;
  }) {
    this.cid = parts.cid;
    this.manifest = parts.manifest;
    this.manifestBytes = parts.manifestBytes;
    this.#files = parts.files;
    this.#folder = parts.folder;
    this.#record = parts.record;
    this.#data = parts.data;
    this.#have = parts.have;
    this.#checked = new Bitmap(parts.have.size);
    this.#haveFile = parts.haveFile;
  }

  /** content.not_found where the manifest is gone or is not the one that the name stands for. */
  static async load(
    files: Files,
    folder: string,
    cid: ManifestCid,
    record: RecordFile,
  ): Promise<Result<OpenEntry, ContentError>> {
    const loaded = await guarded(folder, 'to open content', async () => {
      const manifestBytes = await files.readSmall(path.join(folder, MANIFEST), LIMITS.content.manifestBytes);
      if (manifestBytes === undefined || cidOf(manifestBytes) !== cid) return undefined;
      const manifest = decodeManifest(manifestBytes);
      if (!manifest.ok) return undefined;
      const data = await files.open(path.join(folder, DATA), 'r+');
      try {
        const { have, haveFile } = await openBitmap(files, folder, manifest.value, record.value.complete);
        return new OpenEntry({
          files,
          folder,
          cid,
          manifest: manifest.value,
          manifestBytes,
          record,
          data,
          have,
          haveFile,
        });
      } catch (cause) {
        await data.close();
        throw cause;
      }
    });
    if (!loaded.ok) return loaded;
    return loaded.value === undefined ? err(notFound(cid)) : ok(loaded.value);
  }

  /** Leaves on disk. Not a copy: changes with each leaf. */
  get have(): Bitmap {
    return this.#have;
  }

  get complete(): boolean {
    return this.#record.value.complete;
  }

  /** Checks a leaf and writes it; content.wrong_bytes where it is not this content's. Any order, several at once. */
  async putLeaf(index: number, bytes: Uint8Array): Promise<Result<void, ContentError>> {
    if (bytes.byteLength !== leafSize(this.manifest, index) || !(await isLeaf(this.manifest, index, bytes))) {
      return err(wrongBytes(this.cid, index));
    }
    if (this.#have.has(index)) return ok();
    return guarded(this.#folder, 'to write content', async () => {
      await this.#data.write(bytes, leafOffset(this.manifest, index));
      this.#have.set(index);
      this.#checked.set(index);
      // Not a copy of the byte: whichever of two writes to it comes last, it writes the bits of both.
      await this.#haveFile?.write(this.#have.bytes.subarray(index >> 3, (index >> 3) + 1), index >> 3);
    });
  }

  /** A verified leaf; content.not_found where it is not here, content.damaged (and forgotten) where the disk lost it. */
  async readLeaf(index: number, into?: Uint8Array): Promise<Result<Uint8Array, ContentError>> {
    return this.#read(index, into, true);
  }

  /** The same for a peer, who verifies it too: hashed here only where that has not been done since the file was opened. */
  async readLeafForPeer(index: number, into: Uint8Array): Promise<Result<Uint8Array, ContentError>> {
    return this.#read(index, into, !this.#checked.has(index));
  }

  async #read(index: number, into: Uint8Array | undefined, check: boolean): Promise<Result<Uint8Array, ContentError>> {
    if (!this.#have.has(index)) return err(notFound(this.cid));
    // Not zeroed: it is filled, or it is not used.
    const bytes = into ?? Buffer.allocUnsafeSlow(leafSize(this.manifest, index));
    const read = await guarded(this.#folder, 'to read content', () =>
      this.#data.read(bytes, leafOffset(this.manifest, index)),
    );
    if (!read.ok) return read;
    if (read.value === bytes.byteLength && (!check || (await isLeaf(this.manifest, index, bytes)))) {
      this.#checked.set(index);
      return ok(bytes);
    }
    await this.#forget(index);
    return err(damaged(this.cid, index));
  }

  /**
   * Reads what the bitmap claims and forgets what is not so. Needed before a resumed fetch counts on it: after a
   * power cut the bitmap can be newer than the data.
   */
  async recheck(signal: AbortSignal): Promise<Result<void, ContentError>> {
    const buffer = new Uint8Array(this.manifest.leafBytes);
    for (let index = 0; index < this.#have.size && !signal.aborted; index += 1) {
      if (!this.#have.has(index)) continue;
      const leaf = await this.readLeaf(index, buffer.subarray(0, leafSize(this.manifest, index)));
      if (!leaf.ok && leaf.error.code === 'content.disk_failed') return leaf;
    }
    return ok();
  }

  /** Marks the content complete once every leaf is on the disk itself; content.not_found where some are missing. */
  finish(): Promise<Result<void, ContentError>> {
    return this.#serial.run(async () => {
      if (!this.#have.full) return err(notFound(this.cid));
      if (this.complete) return ok();
      const synced = await guarded(this.#folder, 'to write content', () => this.#data.sync());
      if (!synced.ok) return synced;
      const noted = await this.#record.change({ complete: true });
      if (!noted.ok) return noted;
      await this.#haveFile?.close();
      this.#haveFile = undefined;
      // Left behind it does no harm: the record decides.
      await guarded(this.#folder, 'to tidy up', () => this.#files.remove(path.join(this.#folder, HAVE)));
      return ok();
    });
  }

  async close(): Promise<void> {
    await this.#serial.run(async () => {
      await this.#haveFile?.close();
      await this.#data.close();
    });
  }

  /** The content is incomplete from now on; a failure to write that down is found again by the next read. */
  #forget(index: number): Promise<void> {
    return this.#serial.run(async () => {
      this.#have.clear(index);
      this.#checked.clear(index);
      await guarded(this.#folder, 'to note damage', async () => {
        if (this.#haveFile === undefined) {
          const file = path.join(this.#folder, HAVE);
          await this.#files.replace(file, this.#have.bytes);
          this.#haveFile = await this.#files.open(file, 'r+');
        } else {
          await this.#haveFile.write(this.#have.bytes.subarray(index >> 3, (index >> 3) + 1), index >> 3);
        }
      });
      if (this.complete) await this.#record.change({ complete: false });
    });
  }
}

async function openBitmap(
  files: Files,
  folder: string,
  manifest: Manifest,
  complete: boolean,
): Promise<{ have: Bitmap; haveFile: OpenFile | undefined }> {
  const size = leafCount(manifest);
  if (complete) return { have: fullBitmap(size), haveFile: undefined };
  const file = path.join(folder, HAVE);
  const bytes = await files.readSmall(file, bitmapBytes(LIMITS.content.leaves));
  const usable = bytes?.byteLength === bitmapBytes(size);
  const have = usable ? new Bitmap(size, bytes) : new Bitmap(size);
  if (!usable) await files.replace(file, have.bytes);
  return { have, haveFile: await files.open(file, 'r+') };
}
