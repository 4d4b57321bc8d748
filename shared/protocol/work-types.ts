import type { Hex, Sha256Hex, Wei } from '../units.ts';
import { refuse, type WireType } from './work-wire.ts';

/** Kinds of values that the work protocol's messages are made of. Amounts, hashes and addresses arrive as the program's own types. */

export function uint(max: number): WireType<number> {
  return {
    wireType: 0,
    absent: 0,
    write: (writer, value) => writer.varint(value),
    read(reader) {
      const value = reader.varint();
      return value <= max ? value : refuse(`a number is larger than ${max}`);
    },
  };
}

export function text(maxBytes: number): WireType<string> {
  return {
    wireType: 2,
    absent: '',
    write: (writer, value) => writer.bytes(encoder.encode(value)),
    read(reader) {
      try {
        return decoder.decode(reader.bytes(maxBytes));
      } catch (fault) {
        if (fault instanceof TypeError) return refuse('a text is not UTF-8');
        throw fault;
      }
    },
  };
}

export function blob(minBytes: number, maxBytes: number): WireType<Uint8Array> {
  return {
    wireType: 2,
    absent: minBytes === 0 ? new Uint8Array() : undefined,
    write: (writer, value) => writer.bytes(value),
    read(reader) {
      const bytes = reader.bytes(maxBytes);
      return bytes.length >= minBytes ? bytes : refuse(`a field of ${bytes.length} bytes is shorter than ${minBytes}`);
    },
  };
}

/** Exactly `size` bytes, as 0x-prefixed hexadecimal in the program. */
export function hexBytes(size: number): WireType<Hex> {
  const raw = blob(size, size);
  return {
    wireType: 2,
    absent: undefined,
    write: (writer, value) => writer.bytes(fromHex(value.slice(2))),
    read: (reader) => `0x${toHex(raw.read(reader))}`,
  };
}

/** A lower-case hexadecimal name without a prefix in the program: digests, ids of offers and leases. */
export function hexId<T extends string>(size: number): WireType<T> {
  const raw = blob(size, size);
  return {
    wireType: 2,
    absent: undefined,
    write: (writer, value) => writer.bytes(fromHex(value)),
    read: (reader) => toHex(raw.read(reader)) as T,
  };
}

export const sha256: WireType<Sha256Hex> = hexId<Sha256Hex>(32);

/** Big-endian, no leading zero, at most 16 bytes: what a channel can hold. */
export const weiAmount: WireType<Wei> = {
  wireType: 2,
  absent: 0n as Wei,
  write(writer, value) {
    const hex = value.toString(16);
    writer.bytes(value === 0n ? new Uint8Array() : fromHex(hex.length % 2 === 0 ? hex : `0${hex}`));
  },
  read(reader) {
    const bytes = reader.bytes(16);
    if (bytes[0] === 0) refuse('an amount has a leading zero');
    return (bytes.length === 0 ? 0n : BigInt(`0x${toHex(bytes)}`)) as Wei;
  },
};

/** Protobuf enum: the first name is number 1; 0 and numbers beyond the list are refused. */
export function oneOf<const T extends string>(names: readonly T[]): WireType<T> {
  return {
    wireType: 0,
    absent: undefined,
    write: (writer, value) => writer.varint(names.indexOf(value) + 1),
    read(reader) {
      const number = reader.varint();
      return names[number - 1] ?? refuse(`${number} is not among the ${names.length} kinds known`);
    },
  };
}

/** Finite and not negative. */
export const ratio: WireType<number> = {
  wireType: 1,
  absent: 0,
  write: (writer, value) => writer.double(value),
  read(reader) {
    const value = reader.double();
    return Number.isFinite(value) && value >= 0 ? value : refuse('a ratio is negative or not a number');
  },
};

// In Node and in every browser, but in neither's absence part of the language's own library.
declare const TextEncoder: new () => { encode(text: string): Uint8Array };
declare const TextDecoder: new (label: 'utf-8', options: { fatal: true }) => { decode(bytes: Uint8Array): string };

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

export function toHex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += HEX[byte] ?? '';
  return text;
}

/** Hexadecimal without a prefix, of even length. */
export function fromHex(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i += 1) bytes[i] = Number.parseInt(text.slice(i * 2, i * 2 + 2), 16);
  return bytes;
}
