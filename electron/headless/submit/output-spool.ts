import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, readFile, rm, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import type { NamedTensors } from '#shared/model/tensor.ts';
import { readNpz, writeNpz } from '#shared/tensor-files/npz.ts';
import { LIMITS } from '#shared/protocol/limits.ts';

const HEAD_BYTES = 8;
const SUFFIX = '.spool';

/**
 * Outputs of a job on disk, in the order in which they come, until all are there: a killed `submit` goes on where it
 * was. Records are [u32 index][u32 length][.npz]; a record that a crash cut short is dropped, its shard comes again.
 */
export class OutputSpool {
  readonly #file: string;
  readonly #handle: FileHandle;
  readonly #outputs: Map<number, NamedTensors>;
  #closed = false;

  private constructor(file: string, handle: FileHandle, outputs: Map<number, NamedTensors>) {
    this.#file = file;
    this.#handle = handle;
    this.#outputs = outputs;
  }

  /** The unfinished job of this name, or a new one: finished work is done anew when it is asked for again. */
  static async open(folder: string, name: string): Promise<OutputSpool> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const left = (await readdir(folder)).find((file) => file.startsWith(`${name}-`) && file.endsWith(SUFFIX));
    const file = path.join(folder, left ?? `${name}-${randomBytes(4).toString('hex')}${SUFFIX}`);
    const before = await readFile(file).catch(() => Buffer.alloc(0));
    const { outputs, end } = parse(before);
    const handle = await open(file, 'a', 0o600);
    await handle.truncate(end);
    return new OutputSpool(file, handle, outputs);
  }

  get jobId(): string {
    return path.basename(this.#file, SUFFIX);
  }

  get size(): number {
    return this.#outputs.size;
  }

  /** On disk when it resolves. */
  async put(index: number, outputs: NamedTensors): Promise<void> {
    if (this.#outputs.has(index)) return;
    const written = writeNpz(outputs, { compress: false });
    if (!written.ok) throw new Error(written.error.message);
    const head = Buffer.alloc(HEAD_BYTES);
    head.writeUInt32LE(index, 0);
    head.writeUInt32LE(written.value.byteLength, 4);
    await this.#handle.writev([head, written.value]);
    this.#outputs.set(index, outputs);
  }

  /** In the order of their index; undefined for those that never came. */
  all(count: number): readonly (NamedTensors | undefined)[] {
    return Array.from({ length: count }, (_unused, index) => this.#outputs.get(index));
  }

  /** Twice is once. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#handle.close();
  }

  /** Once the results are where the user wanted them. */
  async remove(): Promise<void> {
    await this.close();
    await rm(this.#file, { force: true });
  }
}

function parse(bytes: Buffer): { readonly outputs: Map<number, NamedTensors>; readonly end: number } {
  const outputs = new Map<number, NamedTensors>();
  let end = 0;
  while (end + HEAD_BYTES <= bytes.byteLength) {
    const index = bytes.readUInt32LE(end);
    const length = bytes.readUInt32LE(end + 4);
    const from = end + HEAD_BYTES;
    if (from + length > bytes.byteLength) break;
    const tensors = readNpz(Uint8Array.from(bytes.subarray(from, from + length)), LIMITS.shard.outputBytes);
    if (!tensors.ok) break;
    outputs.set(index, tensors.value);
    end = from + length;
  }
  return { outputs, end };
}
