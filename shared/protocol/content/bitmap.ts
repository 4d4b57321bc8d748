/**
 * Which leaves are held: bit i of the file is bit (i mod 8), counted from the least significant, of byte floor(i / 8).
 * The same form stands on disk and in messages. See docs/protocol/content.md, "Bitmap".
 */
export class Bitmap {
  readonly size: number;
  readonly bytes: Uint8Array;
  #count = 0;

  constructor(size: number, bytes: Uint8Array = new Uint8Array(bitmapBytes(size))) {
    if (bytes.byteLength !== bitmapBytes(size)) throw new RangeError('a bitmap has one bit for each leaf');
    this.size = size;
    this.bytes = bytes;
    // Bits behind the last leaf mean nothing; cleared so that equal sets are equal bytes.
    const spare = size % 8;
    const last = bytes.byteLength - 1;
    if (spare !== 0) bytes[last] = (bytes[last] ?? 0) & ((1 << spare) - 1);
    for (let index = 0; index < size; index += 1) if (this.has(index)) this.#count += 1;
  }

  /** Number of bits set. */
  get count(): number {
    return this.#count;
  }

  get full(): boolean {
    return this.#count === this.size;
  }

  has(index: number): boolean {
    return index >= 0 && index < this.size && ((this.bytes[index >> 3] ?? 0) & (1 << (index & 7))) !== 0;
  }

  set(index: number): void {
    if (index < 0 || index >= this.size) throw new RangeError(`no leaf ${index} of ${this.size}`);
    if (this.has(index)) return;
    this.bytes[index >> 3] = (this.bytes[index >> 3] ?? 0) | (1 << (index & 7));
    this.#count += 1;
  }

  clear(index: number): void {
    if (!this.has(index)) return;
    this.bytes[index >> 3] = (this.bytes[index >> 3] ?? 0) & ~(1 << (index & 7));
    this.#count -= 1;
  }

  /** Indices not set, ascending. */
  *missing(): Generator<number> {
    for (let index = 0; index < this.size; index += 1) if (!this.has(index)) yield index;
  }
}

export function bitmapBytes(size: number): number {
  return Math.ceil(size / 8);
}

export function fullBitmap(size: number): Bitmap {
  return new Bitmap(size, new Uint8Array(bitmapBytes(size)).fill(0xff));
}
