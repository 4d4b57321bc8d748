import { readSync, writevSync } from 'node:fs';
import { LIMITS } from '#shared/protocol/limits.ts';
import { WireFault } from '#core/compute/wire/fields.ts';
import { aligned, decodeHeader, FRAME, KIND, type Frame } from '#core/compute/wire/frame.ts';

/** Bodies come from the agent, which has checked them; the bound only keeps a broken length from taking the memory. */
const MAX_BODY_BYTES = LIMITS.onnx.modelBytes;
const READ_AHEAD_BYTES = 256 * 1024;

/**
 * The executor's end of the pipe. Read and written with blocking calls: run() blocks the event loop anyway, the kernel's buffer holds
 * the next shards meanwhile, and a reader that waits costs nothing. Back-pressure is the pipe's own.
 */
export class ExecutorChannel {
  readonly #fd: number;
  readonly #ahead = Buffer.allocUnsafeSlow(READ_AHEAD_BYTES);
  #from = 0;
  #to = 0;
  /** Holds the body of a run; reused, because a shard's inputs are dead once it has run. */
  #scratch = new Uint8Array(64 * 1024);

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** The next frame; undefined when the agent is gone. Its body is valid until the next call, a model's for ever. */
  read(): Frame | undefined {
    const start = Buffer.allocUnsafe(FRAME.headerBytes);
    if (!this.#fill(start, true)) return undefined;
    const header = decodeHeader(start, MAX_BODY_BYTES);
    const head = Buffer.allocUnsafe(aligned(header.headBytes));
    this.#fill(head, false);
    const body = this.#bodySpace(header.kind, header.bodyBytes);
    this.#fill(body, false);
    return { kind: header.kind, head: head.subarray(0, header.headBytes), body };
  }

  /** At once: gathering the answers of several shards was measured, and gained nothing. */
  write(pieces: readonly Uint8Array[]): void {
    for (let rest = pieces; rest.length > 0;) rest = skip(rest, writevSync(this.#fd, rest));
  }

  #bodySpace(kind: number, size: number): Uint8Array {
    if (kind !== KIND.run) return new Uint8Array(size);
    if (this.#scratch.byteLength < size) this.#scratch = new Uint8Array(size);
    return this.#scratch.subarray(0, size);
  }

  /** False when the stream ended before the first byte and that is allowed. */
  #fill(target: Uint8Array, mayEnd: boolean): boolean {
    let at = 0;
    while (at < target.length) {
      at += this.#takeAhead(target, at);
      if (at === target.length) break;
      const direct = target.length - at >= READ_AHEAD_BYTES;
      const read = direct ? readSync(this.#fd, target, at, target.length - at, null) : this.#readAhead();
      if (read === 0) {
        if (mayEnd && at === 0) return false;
        throw new WireFault('the agent went away in the middle of a message');
      }
      if (direct) at += read;
    }
    return true;
  }

  #takeAhead(target: Uint8Array, at: number): number {
    const take = Math.min(target.length - at, this.#to - this.#from);
    target.set(this.#ahead.subarray(this.#from, this.#from + take), at);
    this.#from += take;
    return take;
  }

  #readAhead(): number {
    this.#from = 0;
    this.#to = readSync(this.#fd, this.#ahead, 0, READ_AHEAD_BYTES, null);
    return this.#to;
  }
}

function skip(pieces: readonly Uint8Array[], written: number): Uint8Array[] {
  let left = written;
  const rest: Uint8Array[] = [];
  for (const piece of pieces) {
    if (left >= piece.byteLength) {
      left -= piece.byteLength;
    } else {
      rest.push(piece.subarray(left));
      left = 0;
    }
  }
  return rest;
}
