import type { AppError } from '#shared/errors.ts';
import type { ManifestCid } from '#shared/protocol/content/cid.ts';
import type { Result } from '#shared/result.ts';
import type { PeerIdText } from '#shared/units.ts';

export type { ManifestCid } from '#shared/protocol/content/cid.ts';

export type ContentErrorCode =
  | 'content.not_found'
  | 'content.manifest_invalid'
  | 'content.too_large'
  | 'content.over_budget'
  | 'content.no_provider'
  | 'content.wrong_bytes'
  | 'content.damaged'
  | 'content.source_changed'
  | 'content.source_unreadable'
  | 'content.range_invalid'
  | 'content.disk_full'
  | 'content.disk_failed'
  | 'content.cancelled'
  | 'content.stopped';

export type ContentError = AppError<ContentErrorCode>;

export interface FetchProgress {
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface AddOptions {
  /** Kept when room is needed; false where absent. Adding what is there already can pin it, never unpin it. */
  readonly pin?: boolean;
  /** Says in the DHT that this node has it; true where absent. */
  readonly announce?: boolean;
  readonly signal?: AbortSignal;
}

export interface FetchOptions {
  /** Asked first; others come from the DHT when these do not suffice. */
  readonly from: readonly PeerIdText[];
  readonly maxBytes: number;
  readonly pin?: boolean;
  readonly announce?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: FetchProgress) => void;
}

export interface ContentEntry {
  readonly cid: ManifestCid;
  readonly totalBytes: number;
  readonly complete: boolean;
  readonly pinned: boolean;
  /** Unix milliseconds; to the minute after a restart. */
  readonly usedAt: number;
}

export interface ContentUsage {
  /** Counted against the budget: the full size of every entry, complete or not. */
  readonly usedBytes: number;
  readonly budgetBytes: number;
  readonly entries: number;
}

/** A content-addressed store on this machine's disk plus the exchange that fills it from peers. */
export interface Content {
  /** Adds bytes and returns the manifest's CID. Adding twice costs nothing. */
  add(bytes: Uint8Array, options?: AddOptions): Promise<Result<ManifestCid, ContentError>>;
  /** Adds a file of any size allowed, read piece by piece (twice: once for its name, once to copy it). */
  addFile(path: string, options?: AddOptions): Promise<Result<ManifestCid, ContentError>>;
  has(cid: ManifestCid): Promise<boolean>;
  /** Whole, verified content from disk; content.not_found when not complete. */
  read(cid: ManifestCid): Promise<Result<Uint8Array, ContentError>>;
  /** Verified bytes from `offset`, `length` of them; content.range_invalid where they do not all exist. */
  readRange(cid: ManifestCid, offset: number, length: number): Promise<Result<Uint8Array, ContentError>>;
  /**
   * Makes the content complete on disk, from these peers and any found in the DHT; resumes what an earlier
   * call left. A peer that sends wrong bytes is reported to the peer scores and not asked again.
   */
  fetch(cid: ManifestCid, options: FetchOptions): Promise<Result<void, ContentError>>;
  pin(cid: ManifestCid, pinned: boolean): Promise<Result<void, ContentError>>;
  list(): readonly ContentEntry[];
  usage(): ContentUsage;
  /** Ends a fetch of it in content.cancelled, waits for its readers, and deletes it. */
  remove(cid: ManifestCid): Promise<void>;
  /** Ends fetches and uploads in content.stopped; what is on disk stays and is resumed by the next start. */
  stop(): Promise<void>;
}
