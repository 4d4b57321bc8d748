import { DTYPES, type DType } from '#shared/model/tensor.ts';

/** The other end of the pipe broke the protocol: a bug, or a child that a hostile model took over. */
export class WireFault extends Error {
  override readonly name = 'WireFault';
}

/** Writes a message's head: little-endian integers, UTF-8 strings with their length before them. */
export class FieldWriter {
  #bytes = Buffer.allocUnsafe(256);
  #used = 0;

  u8(value: number): this {
    this.#used = this.#reserve(1).writeUInt8(value, this.#used);
    return this;
  }

  u16(value: number): this {
    this.#used = this.#reserve(2).writeUInt16LE(value, this.#used);
    return this;
  }

  u32(value: number): this {
    this.#used = this.#reserve(4).writeUInt32LE(value, this.#used);
    return this;
  }

  f64(value: number): this {
    this.#used = this.#reserve(8).writeDoubleLE(value, this.#used);
    return this;
  }

  /** Cut to `maxBytes` of UTF-8: only for words that a person reads. Names must fit; see `name`. */
  text(value: string, maxBytes: number): this {
    const bytes = Buffer.from(value.slice(0, maxBytes), 'utf8').subarray(0, maxBytes);
    return this.#string(bytes);
  }

  name(value: string): this {
    const bytes = Buffer.from(value, 'utf8');
    if (bytes.length > 0xff_ff) throw new WireFault('name too long');
    return this.#string(bytes);
  }

  dtype(value: DType): this {
    return this.u8(DTYPES.indexOf(value));
  }

  dims(dims: readonly number[]): this {
    this.u8(dims.length);
    for (const dim of dims) this.f64(dim);
    return this;
  }

  finish(): Buffer {
    return this.#bytes.subarray(0, this.#used);
  }

  #string(bytes: Buffer): this {
    this.u16(bytes.length);
    this.#reserve(bytes.length).set(bytes, this.#used);
    this.#used += bytes.length;
    return this;
  }

  #reserve(more: number): Buffer {
    if (this.#used + more > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#used + more));
      larger.set(this.#bytes.subarray(0, this.#used));
      this.#bytes = larger;
    }
    return this.#bytes;
  }
}

/** Reads what FieldWriter wrote and trusts nothing: reading past the end, or leaving a rest, is a WireFault. */
export class FieldReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  u8(): number {
    return this.#bytes.readUInt8(this.#take(1));
  }

  u16(): number {
    return this.#bytes.readUInt16LE(this.#take(2));
  }

  u32(): number {
    return this.#bytes.readUInt32LE(this.#take(4));
  }

  f64(): number {
    return this.#bytes.readDoubleLE(this.#take(8));
  }

  text(): string {
    const length = this.u16();
    const from = this.#take(length);
    return this.#bytes.toString('utf8', from, from + length);
  }

  /** undefined for a type that shards do not have. */
  dtype(): DType | undefined {
    return DTYPES[this.u8()];
  }

  /** `least` is 0 for a tensor that exists, -1 where a size may be open. */
  dims(least: 0 | -1, maxRank: number): number[] {
    const rank = this.u8();
    if (rank > maxRank) throw new WireFault(`rank ${rank}`);
    return Array.from({ length: rank }, () => {
      const dim = this.f64();
      if (!Number.isSafeInteger(dim) || dim < least) throw new WireFault(`dimension ${dim}`);
      return dim;
    });
  }

  /** A count that the sender chose: bounded before anything is allocated for it. */
  count(max: number): number {
    const count = this.u16();
    if (count > max) throw new WireFault(`count ${count} above ${max}`);
    return count;
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw new WireFault('bytes left over');
  }

  #take(length: number): number {
    const from = this.#at;
    if (from + length > this.#bytes.length) throw new WireFault('message too short');
    this.#at = from + length;
    return from;
  }
}
