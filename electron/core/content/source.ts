import { LIMITS } from '#shared/protocol/limits.ts';
import { err, ok } from '#shared/result.ts';
import type { Result } from '#shared/result.ts';
import type { Files } from './disk/files.ts';
import { systemCode } from './disk/files.ts';
import { sourceChanged, sourceUnreadable } from './errors.ts';
import type { ContentError } from './port.ts';

/** What is to be added, read piece by piece. */
export interface Source {
  readonly totalBytes: number;
  /** Exactly these bytes; valid until the next call. */
  read(offset: number, length: number): Promise<Result<Uint8Array, ContentError>>;
  close(): Promise<void>;
}

export function bytesSource(bytes: Uint8Array): Source {
  return {
    totalBytes: bytes.byteLength,
    read: async (offset, length) => ok(bytes.subarray(offset, offset + length)),
    close: async () => undefined,
  };
}

export async function fileSource(files: Files, path: string): Promise<Result<Source, ContentError>> {
  const unreadable = (cause: unknown): Result<never, ContentError> => {
    const code = systemCode(cause);
    if (code === undefined) throw cause;
    return err(sourceUnreadable(path, code));
  };
  try {
    // Asked before it is opened: opening a pipe would wait for somebody to write to it.
    const totalBytes = await files.fileSize(path);
    if (totalBytes === undefined) return err(sourceUnreadable(path, 'not a file'));
    const file = await files.open(path, 'r');
    const buffer = new Uint8Array(Math.min(totalBytes, LIMITS.content.leafBytes));
    return ok({
      totalBytes,
      close: () => file.close(),
      async read(offset, length) {
        try {
          const into = buffer.subarray(0, length);
          return (await file.read(into, offset)) === length ? ok(into) : err(sourceChanged());
        } catch (cause) {
          return unreadable(cause);
        }
      },
    });
  } catch (cause) {
    return unreadable(cause);
  }
}
