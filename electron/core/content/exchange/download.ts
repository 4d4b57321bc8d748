import type { ManifestCid } from '#shared/protocol/content/cid.ts';
import { decodeManifest, heldBytes } from '#shared/protocol/content/manifest.ts';
import type { Manifest } from '#shared/protocol/content/manifest.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import { err } from '#shared/result.ts';
import type { Result } from '#shared/result.ts';
import type { Logger } from '../../obs/logger.ts';
import type { Network } from '../../network/port.ts';
import type { Clock } from '../clock.ts';
import type { ContentStore, Lease } from '../disk/store.ts';
import { cancelled, noProvider, tooLarge } from '../errors.ts';
import type { ContentError, FetchOptions } from '../port.ts';
import type { Work } from './provider-session.ts';
import { Providers } from './providers.ts';
import { Slots } from './slots.ts';
import { WorkQueue } from './work-queue.ts';
import type { WrongSenders } from './wrong-senders.ts';

export interface DownloadOptions {
  readonly cid: ManifestCid;
  readonly store: ContentStore;
  readonly network: Network;
  readonly clock: Clock;
  readonly logger: Logger | undefined;
  readonly wrongSenders: WrongSenders;
}

interface Joined {
  readonly options: FetchOptions;
  readonly settle: (outcome: Result<void, ContentError>) => void;
  /** For a bug, not an outcome. */
  readonly reject: (fault: unknown) => void;
}

/**
 * One content on its way to this disk, for everybody here who wants it. It ends when it is complete, when nobody is
 * left to ask, when the disk fails, or when nobody wants it any more.
 */
export class Download implements Work {
  readonly cid: ManifestCid;
  readonly #options: DownloadOptions;
  readonly #joined = new Set<Joined>();
  readonly #providers: Providers;
  readonly #controller = new AbortController();
  readonly #writes = new Slots(LIMITS.content.leavesToWrite);
  readonly #pending = new Set<Promise<void>>();
  readonly #outcome = Promise.withResolvers<Result<void, ContentError>>();
  #started = false;
  #lease: Lease | undefined;
  #plan: { readonly manifest: Manifest; readonly queue: WorkQueue } | undefined;
  #accepting: Promise<boolean> | undefined;

  constructor(options: DownloadOptions) {
    this.#options = options;
    this.cid = options.cid;
    const { network, clock, logger, wrongSenders } = options;
    this.#providers = new Providers({
      network,
      clock,
      logger,
      wrongSenders,
      work: this,
      onExhausted: () => void this.#giveUp(),
      onFault: (fault) => this.#fail(fault),
    });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get plan(): { readonly manifest: Manifest; readonly queue: WorkQueue } | undefined {
    return this.#plan;
  }

  /** Whether it is over, or about to be: too late to join. */
  get ending(): boolean {
    return this.signal.aborted;
  }

  /** Waits with the others for the end; leaves early when its own signal aborts or the content is too large for it. */
  join(options: FetchOptions): Promise<Result<void, ContentError>> {
    return new Promise((resolve, reject) => {
      const leave = (): void => joined.settle(err(cancelled()));
      const joined: Joined = {
        options,
        settle: (outcome) => {
          options.signal?.removeEventListener('abort', leave);
          this.#joined.delete(joined);
          resolve(outcome);
          if (this.#joined.size === 0) this.end(err(cancelled()));
        },
        reject,
      };
      this.#joined.add(joined);
      options.signal?.addEventListener('abort', leave, { once: true });
      if (options.signal?.aborted === true) leave();
      if (this.#plan !== undefined) this.#welcome([joined], this.#plan.manifest);
      // Before it runs they would be asked for a manifest that the disk may have.
      if (this.#started) this.#providers.add(options.from);
    });
  }

  /** Runs to the end and tells those who joined. Called once, after the first join. */
  async run(): Promise<void> {
    this.#track(this.#begin());
    const outcome = await this.#outcome.promise.then(
      (result) => ({ result }),
      (fault: unknown) => ({ fault }),
    );
    this.#controller.abort();
    await this.#providers.settled();
    await this.#settled();
    this.#lease?.release();
    for (const joined of this.#joined) {
      if ('result' in outcome) joined.settle(outcome.result);
      else joined.reject(outcome.fault);
    }
  }

  /** Nobody is to have it after all. */
  cancel(): void {
    this.end(err(cancelled()));
  }

  /** Ends it; the first end counts. */
  end(outcome: Result<void, ContentError>): void {
    this.#controller.abort();
    this.#outcome.resolve(outcome);
  }

  acceptManifest(bytes: Uint8Array): Promise<boolean> {
    // Several providers may bring it at once; the first one's is taken.
    this.#accepting ??= this.#accept(bytes);
    return this.#accepting;
  }

  async acceptLeaf(index: number, bytes: Uint8Array, onWrong: () => void): Promise<void> {
    await this.#writes.acquire();
    this.#track(this.#write(index, bytes, onWrong).finally(() => this.#writes.release()));
  }

  /** Goes on with what an earlier fetch left on disk, then asks for the rest. */
  async #begin(): Promise<void> {
    const lease = await this.#options.store.lease(this.cid);
    if (lease.ok) {
      this.#lease = lease.value;
      const checked = await lease.value.entry.recheck(this.signal);
      if (!checked.ok) return this.end(checked);
      this.#planFor(lease.value);
      if (this.#complete) return this.#finish();
    } else if (lease.error.code !== 'content.not_found') return this.end(lease);
    this.#started = true;
    this.#providers.add([...this.#joined].flatMap((joined) => [...joined.options.from]));
  }

  get #complete(): boolean {
    return this.#plan?.queue.finished === true;
  }

  /** Work that must have ended before the disk is let go; a fault in it ends the download. */
  #track(work: Promise<void>): void {
    const tracked = work.catch((fault: unknown) => this.#fail(fault)).finally(() => this.#pending.delete(tracked));
    this.#pending.add(tracked);
  }

  async #settled(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all(this.#pending);
  }

  #fail(fault: unknown): void {
    this.#controller.abort();
    this.#outcome.reject(fault);
  }

  /** Nobody is left to ask; but what they brought last may still be on its way to the disk and complete it. */
  async #giveUp(): Promise<void> {
    await this.#settled();
    if (!this.#complete) this.end(err(noProvider(this.cid, this.#providers.asked, this.#doneBytes)));
  }

  async #accept(bytes: Uint8Array): Promise<boolean> {
    if (this.#plan !== undefined) return true;
    const manifest = decodeManifest(bytes);
    if (!manifest.ok) {
      const { code, ...rest } = manifest.error;
      // The name itself stands for it: no other provider can bring a better one.
      this.end(err({ code: 'content.manifest_invalid', ...rest, data: { ...rest.data, cause: code } }));
      return false;
    }
    this.#refuseTooLarge(manifest.value, [...this.#joined]);
    if (this.ending) return false;
    const pinned = [...this.#joined].some((joined) => joined.options.pin === true);
    const lease = await this.#options.store.reserve(this.cid, manifest.value, bytes, pinned);
    if (!lease.ok) {
      this.end(lease);
      return false;
    }
    this.#lease = lease.value;
    this.#planFor(lease.value);
    if (this.#complete) await this.#finish();
    return !this.ending;
  }

  #planFor(lease: Lease): void {
    const { entry } = lease;
    this.#plan = {
      manifest: entry.manifest,
      queue: new WorkQueue(entry.have, entry.manifest.leafBytes, () => this.#options.clock.now()),
    };
    this.#welcome([...this.#joined], entry.manifest);
  }

  #welcome(joined: readonly Joined[], manifest: Manifest): void {
    this.#refuseTooLarge(manifest, joined);
    this.#report(joined.filter((each) => this.#joined.has(each)));
  }

  async #write(index: number, bytes: Uint8Array, onWrong: () => void): Promise<void> {
    const entry = this.#lease?.entry;
    const queue = this.#plan?.queue;
    if (entry === undefined || queue === undefined) throw new Error('a leaf came before its manifest');
    const written = await entry.putLeaf(index, bytes);
    if (!written.ok) {
      if (written.error.code === 'content.wrong_bytes') onWrong();
      else this.end(written);
      return;
    }
    queue.done(index);
    this.#report(this.#joined);
    if (queue.finished) await this.#finish();
  }

  async #finish(): Promise<void> {
    const entry = this.#lease?.entry;
    if (entry === undefined) throw new Error('nothing to finish');
    this.end(await entry.finish());
  }

  #refuseTooLarge(manifest: Manifest, joined: readonly Joined[]): void {
    for (const each of joined) {
      if (manifest.totalBytes <= each.options.maxBytes) continue;
      each.settle(err(tooLarge(this.cid, manifest.totalBytes, each.options.maxBytes)));
    }
  }

  #report(joined: Iterable<Joined>): void {
    if (this.#plan === undefined) return;
    const progress = { doneBytes: this.#doneBytes, totalBytes: this.#plan.manifest.totalBytes };
    for (const each of joined) each.options.onProgress?.(progress);
  }

  get #doneBytes(): number {
    return this.#plan === undefined ? 0 : heldBytes(this.#plan.manifest, this.#plan.queue.onDisk);
  }
}
