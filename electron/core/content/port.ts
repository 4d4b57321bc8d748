import type { AppError } from '#shared/errors.ts';
import type { Result } from '#shared/result.ts';
import type { PeerIdText } from '#shared/units.ts';

export type ContentErrorCode =
  | 'content.not_found'
  | 'content.manifest_invalid'
  | 'content.too_large'
  | 'content.no_provider'
  | 'content.wrong_bytes'
  | 'content.disk_full'
  | 'content.disk_failed'
  | 'content.cancelled'
  | 'content.stopped';

export type ContentError = AppError<ContentErrorCode>;

/** CIDv1 (base32) of a manifest: codec 0x0200 or as docs/protocol.md says, SHA-256. Names a file and all of its leaves. */
export type ManifestCid = string & { readonly __content: 'manifest' };

export interface FetchProgress {
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/** A content-addressed store on this machine's disk plus the exchange that fills it from peers. */
export interface Content {
  /** Adds bytes and returns the manifest's CID. Adding twice costs nothing. */
  add(bytes: Uint8Array): Promise<Result<ManifestCid, ContentError>>;
  has(cid: ManifestCid): Promise<boolean>;
  /** Whole, verified content from disk; content.not_found when not complete. */
  read(cid: ManifestCid): Promise<Result<Uint8Array, ContentError>>;
  /**
   * Makes the content complete on disk, from these peers and any found in the DHT; resumes what an earlier
   * call left. A peer that sends wrong bytes is reported to the peer scores and not asked again.
   */
  fetch(
    cid: ManifestCid,
    options: {
      readonly from: readonly PeerIdText[];
      readonly maxBytes: number;
      readonly signal?: AbortSignal;
      readonly onProgress?: (progress: FetchProgress) => void;
    },
  ): Promise<Result<void, ContentError>>;
  remove(cid: ManifestCid): Promise<void>;
}
