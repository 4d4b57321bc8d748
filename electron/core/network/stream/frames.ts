import { Uint8ArrayList } from 'uint8arraylist';
import { LIMITS } from '#shared/protocol/limits.ts';
import { frameInvalid, frameTooLarge } from '../errors.ts';
import type { NetworkError } from '../port.ts';

/** On the wire: u8 kind, u32 big-endian length, body. See docs/protocol.md, "Framing". */
export const FRAME_HEADER_BYTES = 5;

export type FrameKind = 'control' | 'data' | 'credit';

const KIND_BYTE: Readonly<Record<FrameKind, number>> = { control: 0, data: 1, credit: 2 };
const KINDS: readonly FrameKind[] = ['control', 'data', 'credit'];
export const CREDIT_BODY_BYTES = 4;

/** Below this, one small copy is cheaper than a second chunk through the muxer and the cipher. */
const COPY_BELOW_BYTES = 4096;

export const BODY_LIMIT_BYTES: Readonly<Record<FrameKind, number>> = {
  control: LIMITS.frame.controlBytes,
  data: LIMITS.frame.dataBytes,
  credit: CREDIT_BODY_BYTES,
};

/** What a frame takes of the receiver's window: its body and a flat charge for its header and bookkeeping. */
export function frameCost(bodyBytes: number): number {
  return bodyBytes + LIMITS.conversation.frameOverheadBytes;
}

/** The frame's bytes; a large body is passed on by reference, so it must not change afterwards. */
export function encodeFrame(kind: FrameKind, body: Uint8Array): Uint8Array | Uint8ArrayList {
  const whole = body.byteLength < COPY_BELOW_BYTES;
  const head = new Uint8Array(FRAME_HEADER_BYTES + (whole ? body.byteLength : 0));
  const length = body.byteLength;
  head[0] = KIND_BYTE[kind];
  head[1] = length >>> 24;
  head[2] = length >>> 16;
  head[3] = length >>> 8;
  head[4] = length;
  if (!whole) return new Uint8ArrayList(head, body);
  head.set(body, FRAME_HEADER_BYTES);
  return head;
}

export function encodeCredit(bytes: number): Uint8Array | Uint8ArrayList {
  const body = new Uint8Array(CREDIT_BODY_BYTES);
  new DataView(body.buffer).setUint32(0, bytes);
  return encodeFrame('credit', body);
}

export interface FrameSink {
  /** Asked when a header is complete, before anything is allocated for the body. */
  admit(kind: FrameKind, bodyBytes: number): NetworkError | undefined;
  frame(kind: FrameKind, body: Uint8Array): NetworkError | undefined;
}

/**
 * Cuts arriving chunks into frames. Bodies are copied once into memory of their own, so that a small frame does
 * not keep a large network buffer alive and the caller may keep or change what it gets.
 */
export class FrameParser {
  readonly #sink: FrameSink;
  readonly #header = new Uint8Array(FRAME_HEADER_BYTES);
  #headerFilled = 0;
  #kind: FrameKind = 'control';
  #body: Uint8Array | undefined;
  #bodyFilled = 0;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** True while part of a frame has arrived and the rest has not. */
  get midFrame(): boolean {
    return this.#headerFilled > 0;
  }

  /** Takes all of the chunk, or answers the breach that ends the stream; after one, it must not be called again. */
  push(chunk: Uint8Array): NetworkError | undefined {
    let offset = 0;
    while (offset < chunk.byteLength) {
      if (this.#body === undefined) {
        const taken = Math.min(FRAME_HEADER_BYTES - this.#headerFilled, chunk.byteLength - offset);
        this.#header.set(chunk.subarray(offset, offset + taken), this.#headerFilled);
        this.#headerFilled += taken;
        offset += taken;
        if (this.#headerFilled < FRAME_HEADER_BYTES) return undefined;
        const breach = this.#beginBody();
        if (breach !== undefined) return breach;
      }
      const body = this.#body;
      if (body === undefined) throw new Error('a complete header leaves a body to fill');
      const taken = Math.min(body.byteLength - this.#bodyFilled, chunk.byteLength - offset);
      body.set(chunk.subarray(offset, offset + taken), this.#bodyFilled);
      this.#bodyFilled += taken;
      offset += taken;
      if (this.#bodyFilled === body.byteLength) {
        this.#body = undefined;
        this.#headerFilled = 0;
        const breach = this.#sink.frame(this.#kind, body);
        if (breach !== undefined) return breach;
      }
    }
    return undefined;
  }

  #beginBody(): NetworkError | undefined {
    const view = new DataView(this.#header.buffer);
    const byte = view.getUint8(0);
    const kind = KINDS[byte];
    if (kind === undefined) return frameInvalid(`unknown frame kind ${byte}`);
    const length = view.getUint32(1);
    const limitBytes = BODY_LIMIT_BYTES[kind];
    if (length > limitBytes) return frameTooLarge(kind, length, limitBytes);
    if (kind === 'credit' && length !== CREDIT_BODY_BYTES) return frameInvalid(`a credit of ${length} bytes`);
    const refusal = this.#sink.admit(kind, length);
    if (refusal !== undefined) return refusal;
    this.#kind = kind;
    this.#body = new Uint8Array(length);
    this.#bodyFilled = 0;
    return undefined;
  }
}
