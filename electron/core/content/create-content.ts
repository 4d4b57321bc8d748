import type { ManifestCid } from '#shared/protocol/content/cid.ts';
import { err, ok } from '#shared/result.ts';
import type { Result } from '#shared/result.ts';
import type { Network } from '../network/port.ts';
import type { Logger } from '../obs/logger.ts';
import { addSource } from './add.ts';
import { Announcer } from './announcer.ts';
import { systemClock } from './clock.ts';
import type { Clock } from './clock.ts';
import { nodeFiles } from './disk/files.ts';
import type { Files } from './disk/files.ts';
import { ContentStore } from './disk/store.ts';
import { stopped, tooLarge } from './errors.ts';
import { Download } from './exchange/download.ts';
import { Uploads } from './exchange/upload.ts';
import { WrongSenders } from './exchange/wrong-senders.ts';
import type { AddOptions, Content, ContentEntry, ContentError, ContentUsage, FetchOptions } from './port.ts';
import { readContent } from './read.ts';
import { bytesSource, fileSource } from './source.ts';
import type { Source } from './source.ts';

export interface ContentOptions {
  readonly network: Network;
  /** Made when it is not there; belongs to this process alone. */
  readonly directory: string;
  /** Room for all content together; above it what was used longest ago goes. */
  readonly budgetBytes: number;
  readonly logger?: Logger;
  readonly clock?: Clock;
  /** The disk; tests bring one that fails. */
  readonly files?: Files;
}

/** Opens the content folder and serves it to peers. Errors: content.disk_failed, content.disk_full. */
export async function createContent(options: ContentOptions): Promise<Result<Content, ContentError>> {
  const clock = options.clock ?? systemClock;
  const files = options.files ?? nodeFiles;
  const { directory, budgetBytes, network } = options;
  const store = await ContentStore.open({ files, directory, budgetBytes, now: () => clock.now() });
  if (!store.ok) return store;
  const uploads = new Uploads(network, store.value);
  await network.serve(uploads.handler);
  return ok(new ContentService({ network, store: store.value, uploads, clock, files, logger: options.logger }));
}

interface Parts {
  readonly network: Network;
  readonly store: ContentStore;
  readonly uploads: Uploads;
  readonly clock: Clock;
  readonly files: Files;
  readonly logger: Logger | undefined;
}

class ContentService implements Content {
  readonly #parts: Parts;
  readonly #announcer: Announcer;
  readonly #wrongSenders = new WrongSenders();
  readonly #downloads = new Map<ManifestCid, { readonly download: Download; readonly ended: Promise<void> }>();
  readonly #stopping = new AbortController();
  /** Reads and adds under way, waited for by stop. */
  readonly #busy = new Set<Promise<unknown>>();

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#announcer = new Announcer(parts.network, parts.logger);
  }

  add(bytes: Uint8Array, options: AddOptions = {}): Promise<Result<ManifestCid, ContentError>> {
    return this.#whileRunning(() => this.#add(bytesSource(bytes), options));
  }

  addFile(path: string, options: AddOptions = {}): Promise<Result<ManifestCid, ContentError>> {
    return this.#whileRunning(async () => {
      const source = await fileSource(this.#parts.files, path);
      return source.ok ? this.#add(source.value, options) : source;
    });
  }

  async has(cid: ManifestCid): Promise<boolean> {
    return this.#parts.store.get(cid)?.complete === true;
  }

  read(cid: ManifestCid): Promise<Result<Uint8Array, ContentError>> {
    return this.#whileRunning(() => readContent(this.#parts.store, cid));
  }

  readRange(cid: ManifestCid, offset: number, length: number): Promise<Result<Uint8Array, ContentError>> {
    return this.#whileRunning(() => readContent(this.#parts.store, cid, { offset, length }));
  }

  async fetch(cid: ManifestCid, options: FetchOptions): Promise<Result<void, ContentError>> {
    for (;;) {
      if (this.#stopping.signal.aborted) return err(stopped());
      const here = this.#parts.store.get(cid);
      if (here?.complete === true) {
        if (here.totalBytes > options.maxBytes) return err(tooLarge(cid, here.totalBytes, options.maxBytes));
        return this.#keep(cid, options);
      }
      const running = this.#downloads.get(cid) ?? this.#begin(cid);
      if (running.download.ending) {
        await running.ended;
        continue;
      }
      const fetched = await running.download.join(options);
      return fetched.ok ? this.#keep(cid, options) : fetched;
    }
  }

  pin(cid: ManifestCid, pinned: boolean): Promise<Result<void, ContentError>> {
    return this.#whileRunning(() => this.#parts.store.setPinned(cid, pinned));
  }

  list(): readonly ContentEntry[] {
    return this.#parts.store.list();
  }

  usage(): ContentUsage {
    return this.#parts.store.usage();
  }

  async remove(cid: ManifestCid): Promise<void> {
    const running = this.#downloads.get(cid);
    running?.download.cancel();
    await running?.ended;
    this.#announcer.forget(cid);
    const removed = await this.#parts.store.remove(cid);
    if (!removed.ok) this.#parts.logger?.warn({ cid, error: removed.error }, 'content could not be deleted');
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#announcer.stop();
    for (const { download } of this.#downloads.values()) download.end(err(stopped()));
    await this.#parts.uploads.stop();
    await Promise.all([...this.#downloads.values()].map(({ ended }) => ended));
    await Promise.allSettled(this.#busy);
    await this.#parts.store.close();
  }

  async #add(source: Source, options: AddOptions): Promise<Result<ManifestCid, ContentError>> {
    const stopping = this.#stopping.signal;
    const signal = options.signal === undefined ? stopping : AbortSignal.any([stopping, options.signal]);
    try {
      const added = await addSource(this.#parts.store, source, { pin: options.pin === true, signal });
      if (added.ok && options.announce !== false) this.#announcer.announce(added.value);
      return !added.ok && stopping.aborted ? err(stopped()) : added;
    } finally {
      await source.close();
    }
  }

  /** The running download of a content. It starts after this turn, so that whoever began it has joined. */
  #begin(cid: ManifestCid): { readonly download: Download; readonly ended: Promise<void> } {
    const { store, network, clock, logger } = this.#parts;
    const download = new Download({ cid, store, network, clock, logger, wrongSenders: this.#wrongSenders });
    const ended = Promise.resolve()
      .then(() => download.run())
      .finally(() => this.#downloads.delete(cid));
    const running = { download, ended };
    this.#downloads.set(cid, running);
    return running;
  }

  async #keep(cid: ManifestCid, options: FetchOptions): Promise<Result<void, ContentError>> {
    if (options.announce !== false) this.#announcer.announce(cid);
    return options.pin === true ? this.#parts.store.setPinned(cid, true) : ok();
  }

  async #whileRunning<T>(work: () => Promise<Result<T, ContentError>>): Promise<Result<T, ContentError>> {
    if (this.#stopping.signal.aborted) return err(stopped());
    const running = work();
    this.#busy.add(running);
    try {
      return await running;
    } finally {
      this.#busy.delete(running);
    }
  }
}
