import { LIMITS } from '#shared/protocol/limits.ts';
import { WireFault } from './fields.ts';

/**
 * The pipe between the pool and an executor carries frames, little-endian, in both directions:
 *
 *   u32 magic · u8 kind · 3 zero bytes · u32 head length · u32 body length · head · zeros to a multiple of 8 · body
 *
 * The head is the message (wire/messages.ts), the body its tensors or model, each at a multiple of 8 bytes.
 */
export const FRAME = { magic: 0x31_52_58_48, headerBytes: 16, alignBytes: 8 } as const;

export const KIND = { load: 1, unload: 2, run: 3, ready: 16, loaded: 17, result: 18 } as const;
export type Kind = (typeof KIND)[keyof typeof KIND];

export interface FrameHeader {
  readonly kind: number;
  readonly headBytes: number;
  readonly bodyBytes: number;
}

export interface Frame {
  readonly kind: number;
  readonly head: Buffer;
  /** Starts at a multiple of 8 of its own memory, so that typed arrays can lie on it. */
  readonly body: Uint8Array;
}

const ZEROS = Buffer.alloc(FRAME.alignBytes);

export function aligned(bytes: number): number {
  return Math.ceil(bytes / FRAME.alignBytes) * FRAME.alignBytes;
}

/** The pieces of one frame, ready for one gathering write; body parts are not copied, padding stands between them. */
export function encodeFrame(kind: Kind, head: Buffer, parts: readonly Uint8Array[]): Uint8Array[] {
  const start = Buffer.alloc(FRAME.headerBytes + aligned(head.length));
  start.writeUInt32LE(FRAME.magic, 0);
  start.writeUInt8(kind, 4);
  start.writeUInt32LE(head.length, 8);
  start.set(head, FRAME.headerBytes);
  const pieces: Uint8Array[] = [start];
  let bodyBytes = 0;
  for (const part of parts) {
    if (part.byteLength > 0) pieces.push(part);
    const padding = aligned(part.byteLength) - part.byteLength;
    if (padding > 0) pieces.push(ZEROS.subarray(0, padding));
    bodyBytes += part.byteLength + padding;
  }
  start.writeUInt32LE(bodyBytes, 12);
  return pieces;
}

/** Throws a WireFault on anything but a header within the given body limit. */
export function decodeHeader(bytes: Buffer, maxBodyBytes: number): FrameHeader {
  if (bytes.readUInt32LE(0) !== FRAME.magic) throw new WireFault('not a frame');
  const header = { kind: bytes.readUInt8(4), headBytes: bytes.readUInt32LE(8), bodyBytes: bytes.readUInt32LE(12) };
  if (bytes.readUInt32LE(4) >>> 8 !== 0) throw new WireFault('reserved bytes are not zero');
  if (header.headBytes > LIMITS.compute.headBytes) throw new WireFault(`head of ${header.headBytes} bytes`);
  if (header.bodyBytes > maxBodyBytes) throw new WireFault(`body of ${header.bodyBytes} bytes`);
  return header;
}

/**
 * Cuts a stream of chunks into frames. Each body is copied once, into memory of its own; nothing is allocated for a
 * length before it has passed its limit, and `maxBodyBytes` is asked anew for every frame.
 */
export class FrameParser {
  readonly #maxBodyBytes: (kind: number) => number;
  readonly #onFrame: (frame: Frame) => void;
  #header: FrameHeader | undefined;
  #start = Buffer.allocUnsafe(FRAME.headerBytes);
  #body = new Uint8Array(0);
  #filled = 0;

  constructor(onFrame: (frame: Frame) => void, maxBodyBytes: (kind: number) => number) {
    this.#onFrame = onFrame;
    this.#maxBodyBytes = maxBodyBytes;
  }

  /** Throws a WireFault when the stream is not a sequence of frames; the parser is of no use afterwards. */
  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length || this.#complete()) {
      if (this.#header === undefined) {
        at += this.#fill(this.#start, 0, chunk, at);
        if (this.#filled === FRAME.headerBytes) this.#openFrame();
      } else {
        at += this.#fillFrame(chunk, at);
        if (this.#complete()) this.#closeFrame();
      }
    }
  }

  #openFrame(): void {
    const kind = this.#start.readUInt8(4);
    this.#header = decodeHeader(this.#start, this.#maxBodyBytes(kind));
    const headSpace = aligned(this.#header.headBytes);
    this.#start = Buffer.allocUnsafe(Math.max(headSpace, FRAME.headerBytes));
    // Not cleared first: it is handed on only when it has been filled.
    this.#body = new Uint8Array(Buffer.allocUnsafeSlow(this.#header.bodyBytes).buffer);
    this.#filled = 0;
  }

  #complete(): boolean {
    const header = this.#header;
    return header !== undefined && this.#filled === aligned(header.headBytes) + header.bodyBytes;
  }

  #fillFrame(chunk: Uint8Array, at: number): number {
    const headSpace = aligned(this.#header?.headBytes ?? 0);
    if (this.#filled < headSpace) return this.#fill(this.#start.subarray(0, headSpace), 0, chunk, at);
    return this.#fill(this.#body, headSpace, chunk, at);
  }

  #fill(target: Uint8Array, base: number, chunk: Uint8Array, at: number): number {
    const take = Math.min(target.length - (this.#filled - base), chunk.length - at);
    target.set(chunk.subarray(at, at + take), this.#filled - base);
    this.#filled += take;
    return take;
  }

  #closeFrame(): void {
    const header = this.#header ?? { kind: 0, headBytes: 0, bodyBytes: 0 };
    const frame = { kind: header.kind, head: this.#start.subarray(0, header.headBytes), body: this.#body };
    this.#header = undefined;
    this.#start = Buffer.allocUnsafe(FRAME.headerBytes);
    this.#body = new Uint8Array(0);
    this.#filled = 0;
    this.#onFrame(frame);
  }
}
