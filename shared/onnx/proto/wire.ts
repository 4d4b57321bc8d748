import { refuse } from '../admission/errors.ts';
import { decodeUtf8 } from './utf8.ts';

/** What is left of the file's allowance of things that take memory; shared by all readers of one file. */
export interface Budget {
  items: number;
  readonly nameBytes: number;
}

const VARINT = 0;
const FIXED64 = 1;
const LENGTH = 2;
const FIXED32 = 5;

/**
 * A cursor over one protobuf message. It refuses with `admission.malformed` and never reads, or allocates
 * for, a byte that is not there: lengths are checked against the message around them, and byte fields are
 * views. Groups (deprecated wire types 3 and 4) are refused, so no field nests without a length.
 * Encoding: https://protobuf.dev/programming-guides/encoding/
 */
export class WireReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly budget: Budget;
  #at = 0;
  #wire = VARINT;

  constructor(bytes: Uint8Array, budget: Budget) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.budget = budget;
  }

  /** The numbers of a packed run of varints, of which there are at most `most`. */
  static packedInt64s(packed: Uint8Array, most: number): number[] {
    const reader = new WireReader(packed, { items: most, nameBytes: 0 });
    const values: number[] = [];
    while (!reader.#done()) {
      reader.spend(1);
      values.push(reader.#varint());
    }
    return values;
  }

  /** Moves to the next field and returns its number; 0 at the end of the message. */
  next(): number {
    if (this.#at >= this.#bytes.length) return 0;
    const tag = this.#varint();
    const field = Math.floor(tag / 8);
    this.#wire = tag % 8;
    if (tag < 0 || field < 1 || field > 0x1fff_ffff) refuse('admission.malformed', 'a field number is not possible');
    return field;
  }

  skip(): void {
    switch (this.#wire) {
      case VARINT:
        this.#varint();
        return;
      case FIXED64:
        this.#take(8);
        return;
      case FIXED32:
        this.#take(4);
        return;
      case LENGTH:
        this.#take(this.#length());
        return;
      default:
        refuse('admission.malformed', 'a field has a wire type that ONNX does not use');
    }
  }

  /** int64 as a number: beyond 2^53 sign and magnitude stay, the last digits do not. */
  int64(): number {
    this.#expect(VARINT);
    return this.#varint();
  }

  /** int32 or enum; other readers truncate silently, so what does not fit is refused. */
  int32(): number {
    const value = this.int64();
    if (value < -0x8000_0000 || value > 0x7fff_ffff) refuse('admission.malformed', 'a 32-bit field holds more');
    return value;
  }

  float(): number {
    this.#expect(FIXED32);
    return this.#view.getFloat32(this.#take(4), true);
  }

  /** A view, not a copy. */
  bytes(): Uint8Array {
    this.#expect(LENGTH);
    const length = this.#length();
    const start = this.#take(length);
    return this.#bytes.subarray(start, start + length);
  }

  /** A name: UTF-8 within the limit for names. */
  name(): string {
    this.spend(1);
    const bytes = this.bytes();
    if (bytes.length > this.budget.nameBytes) {
      refuse('admission.name_too_long', `a name in the model has ${bytes.length} bytes`, { bytes: bytes.length });
    }
    return decodeUtf8(bytes) ?? refuse('admission.malformed', 'a name is not valid UTF-8');
  }

  message(): WireReader {
    this.spend(1);
    return new WireReader(this.bytes(), this.budget);
  }

  /** One element of a repeated int64, or a packed run of them, appended to `into`. */
  int64s(into: number[]): void {
    if (this.#wire !== LENGTH) {
      this.spend(1);
      into.push(this.int64());
      return;
    }
    const packed = new WireReader(this.bytes(), this.budget);
    while (!packed.#done()) {
      this.spend(1);
      into.push(packed.#varint());
    }
  }

  /** One element of a repeated float, or a packed run of them, appended to `into`. */
  floats(into: number[]): void {
    if (this.#wire !== LENGTH) {
      this.spend(1);
      into.push(this.float());
      return;
    }
    const packed = this.bytes();
    if (packed.length % 4 !== 0) refuse('admission.malformed', 'a list of floats has a broken length');
    this.spend(packed.length / 4);
    const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
    for (let at = 0; at < packed.length; at += 4) into.push(view.getFloat32(at, true));
  }

  /**
   * The undecoded payload of a repeated scalar: a packed run, or one element in its own encoding. Large
   * tensors come through here, so nothing is decoded or copied.
   */
  scalars(): Uint8Array {
    this.spend(1);
    if (this.#wire === LENGTH) return this.bytes();
    const start = this.#at;
    this.skip();
    return this.#bytes.subarray(start, this.#at);
  }

  spend(items: number): void {
    this.budget.items -= items;
    if (this.budget.items < 0) refuse('admission.too_complex', 'the model has too many names, attributes and values');
  }

  #done(): boolean {
    return this.#at >= this.#bytes.length;
  }

  #expect(wire: number): void {
    if (this.#wire !== wire) refuse('admission.malformed', 'a field has another wire type than ONNX gives it');
  }

  #length(): number {
    const length = this.#varint();
    if (length < 0 || length > this.#bytes.length - this.#at) {
      refuse('admission.malformed', 'the file ends in the middle of a field');
    }
    return length;
  }

  #take(length: number): number {
    const start = this.#at;
    if (length > this.#bytes.length - start) refuse('admission.malformed', 'the file ends in the middle of a field');
    this.#at += length;
    return start;
  }

  /** Ten bytes at most, as a signed 64-bit number. */
  #varint(): number {
    let low = 0;
    let high = 0;
    for (let k = 0; k < 10; k++) {
      const byte = this.#bytes[this.#at] ?? refuse('admission.malformed', 'the file ends in the middle of a number');
      this.#at += 1;
      const bits = byte & 0x7f;
      if (k < 4) low |= bits << (7 * k);
      else if (k === 4) {
        low |= bits << 28;
        high |= bits >> 4;
      } else high |= bits << (7 * k - 32);
      if (byte < 0x80) {
        if (k === 9 && byte > 1) break;
        return high * 0x1_0000_0000 + (low >>> 0);
      }
    }
    return refuse('admission.malformed', 'a number is longer than 64 bits');
  }
}

/** Number of varints in a packed run: the bytes that end one. undefined where the run ends inside a varint. */
export function countVarints(packed: Uint8Array): number | undefined {
  let count = 0;
  for (const byte of packed) if (byte < 0x80) count += 1;
  const last = packed.at(-1);
  return last !== undefined && last >= 0x80 ? undefined : count;
}
