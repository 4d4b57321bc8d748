import path from 'node:path';
import { parseManifestCid } from '#shared/protocol/content/cid.ts';
import type { ManifestCid } from '#shared/protocol/content/cid.ts';
import type { Manifest } from '#shared/protocol/content/manifest.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import { err, ok } from '#shared/result.ts';
import type { Result } from '#shared/result.ts';
import { diskFull, notFound, overBudget } from '../errors.ts';
import type { ContentEntry, ContentError, ContentUsage } from '../port.ts';
import { Serial } from '../serial.ts';
import type { Files } from './files.ts';
import { guarded } from './guard.ts';
import { createEntry, OpenEntry } from './open-entry.ts';
import { readRecord, RecordFile, removeRecord } from './record.ts';

/** Holds an entry open and safe from eviction until released. */
export interface Lease {
  readonly entry: OpenEntry;
  release(): void;
}

interface Slot {
  readonly cid: ManifestCid;
  readonly folder: string;
  readonly record: RecordFile;
  open: OpenEntry | undefined;
  leases: number;
  /** Exact, where the record's is coarse. Unix milliseconds. */
  usedAt: number;
  /** Set when the entry is to be deleted: no new leases. Called when the last one has ended. */
  doomed: { readonly drained: Promise<void>; readonly drain: () => void } | undefined;
}

export interface StoreOptions {
  readonly files: Files;
  readonly directory: string;
  readonly budgetBytes: number;
  readonly now: () => number;
}

/** Use is noted on disk no finer than this, so that reading does not become writing. */
const USED_AT_GRAIN_MS = 60_000;

/**
 * The content folder: one folder for each content, named by its CID. Its total is kept within the budget by deleting
 * what was used longest ago and is neither pinned nor in use. One process owns a content folder.
 */
export class ContentStore {
  readonly #options: StoreOptions;
  readonly #slots: Map<ManifestCid, Slot>;
  /** Openings, creations and deletions one after the other: each looks at the whole before it changes it. */
  readonly #serial = new Serial();

  private constructor(options: StoreOptions, slots: Map<ManifestCid, Slot>) {
    this.#options = options;
    this.#slots = slots;
  }

  /** Reads the records of what is there; sweeps what a crash left half created or half deleted. */
  static open(options: StoreOptions): Promise<Result<ContentStore, ContentError>> {
    const { files, directory } = options;
    return guarded(directory, 'to open the content folder', async () => {
      await files.makeFolder(directory);
      const slots = new Map<ManifestCid, Slot>();
      for (const name of await files.list(directory)) {
        const cid = parseManifestCid(name);
        // Not ours: left alone.
        if (!cid.ok) continue;
        const folder = path.join(directory, name);
        const record = await readRecord(files, folder);
        if (record === undefined) await files.remove(folder);
        else slots.set(cid.value, newSlot(cid.value, folder, new RecordFile(files, folder, record)));
      }
      return new ContentStore(options, slots);
    });
  }

  list(): readonly ContentEntry[] {
    return [...this.#slots.values()].filter((slot) => slot.doomed === undefined).map(entryOf);
  }

  get(cid: ManifestCid): ContentEntry | undefined {
    const slot = this.#slots.get(cid);
    return slot === undefined || slot.doomed !== undefined ? undefined : entryOf(slot);
  }

  usage(): ContentUsage {
    let usedBytes = 0;
    for (const slot of this.#slots.values()) usedBytes += slot.record.value.totalBytes;
    return { usedBytes, budgetBytes: this.#options.budgetBytes, entries: this.#slots.size };
  }

  /** Opens an entry, complete or not; content.not_found where there is none. */
  async lease(cid: ManifestCid): Promise<Result<Lease, ContentError>> {
    const open = this.#slots.get(cid);
    if (open?.open !== undefined && open.doomed === undefined) return ok(this.#leaseOf(open, open.open));
    return this.#serial.run(async () => {
      const slot = this.#slots.get(cid);
      return slot === undefined || slot.doomed !== undefined ? err(notFound(cid)) : this.#openLease(slot);
    });
  }

  /** Opens the entry of a manifest, creating it and making room for it where there is none. */
  async reserve(
    cid: ManifestCid,
    manifest: Manifest,
    manifestBytes: Uint8Array,
    pinned: boolean,
  ): Promise<Result<Lease, ContentError>> {
    for (;;) {
      const reserved = await this.#serial.run(async () => {
        const slot = this.#slots.get(cid);
        if (slot?.doomed !== undefined) return undefined;
        if (slot !== undefined) return this.#openLease(slot);
        return this.#create(cid, manifest, manifestBytes, pinned);
      });
      if (reserved !== undefined) return reserved;
      await this.remove(cid);
    }
  }

  async setPinned(cid: ManifestCid, pinned: boolean): Promise<Result<void, ContentError>> {
    const record = this.#slots.get(cid)?.record;
    if (record === undefined) return err(notFound(cid));
    return record.value.pinned === pinned ? ok() : record.change({ pinned });
  }

  /** Waits for the leases to end, then deletes. */
  async remove(cid: ManifestCid): Promise<Result<void, ContentError>> {
    const slot = this.#slots.get(cid);
    if (slot === undefined) return ok();
    await this.#doom(slot);
    return this.#serial.run(() => this.#delete(slot));
  }

  /** Closes every file. Leases must have been released. */
  async close(): Promise<void> {
    await this.#serial.run(async () => {
      for (const slot of this.#slots.values()) await this.#closeSlot(slot);
    });
  }

  async #create(
    cid: ManifestCid,
    manifest: Manifest,
    manifestBytes: Uint8Array,
    pinned: boolean,
  ): Promise<Result<Lease, ContentError>> {
    const { files, directory, now } = this.#options;
    const room = await this.#makeRoom(manifest.totalBytes);
    if (!room.ok) return room;
    const folder = path.join(directory, cid);
    const record = { version: 1, totalBytes: manifest.totalBytes, complete: false, pinned, usedAt: now() } as const;
    const created = await createEntry(files, folder, manifest, manifestBytes, record);
    if (!created.ok) return created;
    const slot = newSlot(cid, folder, new RecordFile(files, folder, record));
    this.#slots.set(cid, slot);
    return this.#openLease(slot);
  }

  async #makeRoom(neededBytes: number): Promise<Result<void, ContentError>> {
    const { files, directory, budgetBytes } = this.#options;
    if (neededBytes > budgetBytes) return err(overBudget(neededBytes, budgetBytes));
    const fits = (): boolean =>
      this.usage().usedBytes + neededBytes <= budgetBytes && this.#slots.size < LIMITS.content.entries;
    const victims = [...this.#slots.values()]
      .filter((slot) => !slot.record.value.pinned)
      .sort((a, b) => a.usedAt - b.usedAt);
    for (const victim of victims) {
      if (fits()) break;
      // Looked at only now: a lease may have begun while an earlier victim was deleted.
      if (victim.leases > 0 || victim.doomed !== undefined) continue;
      void this.#doom(victim);
      const deleted = await this.#delete(victim);
      if (!deleted.ok) return deleted;
    }
    if (!fits()) return err(overBudget(neededBytes, budgetBytes));
    const free = await guarded(directory, 'to tell its free space', () => files.freeBytes(directory));
    if (!free.ok) return free;
    return free.value < neededBytes ? err(diskFull(directory)) : ok();
  }

  async #openLease(slot: Slot): Promise<Result<Lease, ContentError>> {
    if (slot.open === undefined) {
      const opened = await OpenEntry.load(this.#options.files, slot.folder, slot.cid, slot.record);
      if (!opened.ok) {
        // A manifest that is gone cannot be repaired in place: what is left is worth nothing.
        if (opened.error.code === 'content.not_found') {
          void this.#doom(slot);
          await this.#delete(slot);
        }
        return opened;
      }
      slot.open = opened.value;
    }
    return ok(this.#leaseOf(slot, slot.open));
  }

  #leaseOf(slot: Slot, entry: OpenEntry): Lease {
    slot.leases += 1;
    const now = this.#options.now();
    slot.usedAt = now;
    if (now - slot.record.value.usedAt >= USED_AT_GRAIN_MS) void slot.record.change({ usedAt: now });
    let released = false;
    return {
      entry,
      release: () => {
        if (released) return;
        released = true;
        slot.leases -= 1;
        if (slot.leases > 0) return;
        if (slot.doomed === undefined) void this.#serial.run(() => this.#closeIdle());
        else slot.doomed.drain();
      },
    };
  }

  /** Keeps the files of a few idle entries open; the one used longest ago is closed first. */
  async #closeIdle(): Promise<void> {
    const idle = [...this.#slots.values()]
      .filter((slot) => slot.open !== undefined && slot.leases === 0 && slot.doomed === undefined)
      .sort((a, b) => a.usedAt - b.usedAt);
    for (const slot of idle.slice(0, Math.max(0, idle.length - LIMITS.content.idleOpenEntries))) {
      if (slot.leases === 0) await this.#closeSlot(slot);
    }
  }

  /** No new leases from now on; answers when there are none left. */
  #doom(slot: Slot): Promise<void> {
    if (slot.doomed === undefined) {
      const { promise, resolve } = Promise.withResolvers<void>();
      slot.doomed = { drained: promise, drain: resolve };
      if (slot.leases === 0) resolve();
    }
    return slot.doomed.drained;
  }

  async #delete(slot: Slot): Promise<Result<void, ContentError>> {
    if (this.#slots.get(slot.cid) !== slot) return ok();
    const { files } = this.#options;
    await this.#closeSlot(slot);
    await slot.record.settled();
    const deleted = await guarded(slot.folder, 'to delete content', async () => {
      await removeRecord(files, slot.folder);
      await files.remove(slot.folder);
    });
    // Even where the disk refuses: an entry whose record may be gone must not be counted on.
    this.#slots.delete(slot.cid);
    return deleted;
  }

  async #closeSlot(slot: Slot): Promise<void> {
    const entry = slot.open;
    slot.open = undefined;
    if (entry !== undefined) await guarded(slot.folder, 'to close content', () => entry.close());
  }
}

function newSlot(cid: ManifestCid, folder: string, record: RecordFile): Slot {
  return { cid, folder, record, open: undefined, leases: 0, usedAt: record.value.usedAt, doomed: undefined };
}

function entryOf({ cid, record: { value }, usedAt }: Slot): ContentEntry {
  return { cid, totalBytes: value.totalBytes, complete: value.complete, pinned: value.pinned, usedAt };
}
