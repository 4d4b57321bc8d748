import { encodeUtf8 } from './utf8.ts';

/**
 * Writes one protobuf message as a list of pieces. Large byte fields are kept as views and copied once, in
 * `finish`; a nested message is a finished piece of its parent.
 */
export class WireWriter {
  readonly #pieces: Uint8Array[] = [];
  #size = 0;

  /**
   * int64, int32, enum. Negative numbers take ten bytes, as protobuf has it. The number next to INT64_MAX is
   * 2^63, which would wrap to the smallest: it is written as INT64_MAX.
   */
  int(field: number, value: number | bigint): this {
    return this.#push(varint(BigInt(field) << 3n)).#push(varint(value === 2 ** 63 ? 2n ** 63n - 1n : BigInt(value)));
  }

  float(field: number, value: number): this {
    const payload = new Uint8Array(4);
    new DataView(payload.buffer).setFloat32(0, value, true);
    return this.#push(varint((BigInt(field) << 3n) | 5n)).#push(payload);
  }

  bytes(field: number, payload: Uint8Array): this {
    return this.#push(varint((BigInt(field) << 3n) | 2n))
      .#push(varint(BigInt(payload.length)))
      .#push(payload);
  }

  string(field: number, text: string): this {
    return this.bytes(field, encodeUtf8(text));
  }

  /** Left out when empty, as protobuf's defaults are. */
  optionalString(field: number, text: string): this {
    return text === '' ? this : this.string(field, text);
  }

  message(field: number, message: WireWriter): this {
    this.#push(varint((BigInt(field) << 3n) | 2n)).#push(varint(BigInt(message.#size)));
    for (const piece of message.#pieces) this.#push(piece);
    return this;
  }

  finish(): Uint8Array {
    const whole = new Uint8Array(this.#size);
    let at = 0;
    for (const piece of this.#pieces) {
      whole.set(piece, at);
      at += piece.length;
    }
    return whole;
  }

  #push(piece: Uint8Array): this {
    this.#pieces.push(piece);
    this.#size += piece.length;
    return this;
  }
}

function varint(value: bigint): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  while (rest >= 0x80n) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Uint8Array.from(bytes);
}
