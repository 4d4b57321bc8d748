import { mkdir, open, readdir, rename, rm, stat, statfs } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import path from 'node:path';

/** What the store needs of a disk. Errors are Node's own, with their system code; `DiskErrors` translates them. */
export interface Files {
  /** 'r' reads, 'r+' changes what exists, 'w+' begins empty. */
  open(file: string, mode: 'r' | 'r+' | 'w+'): Promise<OpenFile>;
  /** The whole of a small file; undefined where there is none or it has more than `maxBytes`. */
  readSmall(file: string, maxBytes: number): Promise<Uint8Array | undefined>;
  /** In one step and durably: after a crash there is the old file or the new one. */
  replace(file: string, bytes: Uint8Array): Promise<void>;
  /** Size of an ordinary file; undefined for folders, pipes and devices, which would not end or not answer. */
  fileSize(file: string): Promise<number | undefined>;
  makeFolder(folder: string): Promise<void>;
  /** Names of what a folder holds; none where it does not exist. */
  list(folder: string): Promise<readonly string[]>;
  /** A file, or a folder and all in it; nothing to remove is no error. */
  remove(target: string): Promise<void>;
  /** What an ordinary user may still write to the folder's disk. */
  freeBytes(folder: string): Promise<number>;
}

export interface OpenFile {
  /** Reads until `into` is full or the file ends; answers the number of bytes read. */
  read(into: Uint8Array, position: number): Promise<number>;
  /** Writes all of it. `bytes` must not change until it has. */
  write(bytes: Uint8Array, position: number): Promise<void>;
  truncate(sizeBytes: number): Promise<void>;
  size(): Promise<number>;
  /** Waits until the bytes are on the disk itself. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** Node's error code ('ENOSPC', ...) of a failed system call; undefined for anything else, which is a fault. */
export function systemCode(cause: unknown): string | undefined {
  if (!(cause instanceof Error) || !('code' in cause) || !('syscall' in cause)) return undefined;
  return typeof cause.code === 'string' ? cause.code : undefined;
}

class NodeFile implements OpenFile {
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    let filled = 0;
    while (filled < into.byteLength) {
      const { bytesRead } = await this.#handle.read(into, filled, into.byteLength - filled, position + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return filled;
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    let written = 0;
    while (written < bytes.byteLength) {
      const { bytesWritten } = await this.#handle.write(bytes, written, bytes.byteLength - written, position + written);
      written += bytesWritten;
    }
  }

  async truncate(sizeBytes: number): Promise<void> {
    await this.#handle.truncate(sizeBytes);
  }

  async size(): Promise<number> {
    return (await this.#handle.stat()).size;
  }

  async sync(): Promise<void> {
    await this.#handle.datasync();
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

async function openFile(file: string, mode: 'r' | 'r+' | 'w+'): Promise<OpenFile> {
  return new NodeFile(await open(file, mode, 0o600));
}

async function readSmall(file: string, maxBytes: number): Promise<Uint8Array | undefined> {
  let handle: OpenFile;
  try {
    handle = await openFile(file, 'r');
  } catch (cause) {
    if (systemCode(cause) === 'ENOENT') return undefined;
    throw cause;
  }
  try {
    const size = await handle.size();
    if (size > maxBytes) return undefined;
    const bytes = new Uint8Array(size);
    return bytes.subarray(0, await handle.read(bytes, 0));
  } finally {
    await handle.close();
  }
}

async function replace(file: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${file}.${randomUUID()}.new`;
  try {
    const handle = await openFile(temporary, 'w+');
    try {
      await handle.write(bytes, 0);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  } catch (cause) {
    await rm(temporary, { force: true });
    throw cause;
  }
  await syncFolder(path.dirname(file));
}

/** A rename is durable once its folder is; Windows cannot open folders and journals the rename itself. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function list(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (cause) {
    if (systemCode(cause) === 'ENOENT') return [];
    throw cause;
  }
}

export const nodeFiles: Files = {
  open: openFile,
  readSmall,
  replace,
  list,
  async fileSize(file) {
    const status = await stat(file);
    return status.isFile() ? status.size : undefined;
  },
  async makeFolder(folder) {
    await mkdir(folder, { recursive: true, mode: 0o700 });
  },
  async remove(target) {
    await rm(target, { recursive: true, force: true, maxRetries: 3 });
  },
  async freeBytes(folder) {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  },
};
