import { appError, type AppError } from '../errors.ts';
import { err, ok, type Result } from '../result.ts';

/**
 * Protobuf (proto3 wire format) with the bounds in the schema: a message is declared once as a value, its TypeScript type
 * and its reader and writer follow from it, and no value that breaks a bound ever leaves the reader. work.proto says the
 * same in protobuf's own language; a test holds the two against each other.
 *
 * Unknown fields are skipped, unknown enum values refused, absent scalars are their default and then meet their bounds.
 */
export type WireError = AppError<'work.message_invalid'>;

/** Carries the reason out of the recursive reader; never leaves this file. */
class WireFault extends Error {}

export function refuse(reason: string): never {
  throw new WireFault(reason);
}

/** One kind of value on the wire. `wireType` is protobuf's: 0 varint, 1 eight bytes, 2 length-delimited. */
export interface WireType<T> {
  readonly wireType: 0 | 1 | 2;
  /** Value of an absent field; undefined where a field must be there. */
  readonly absent: T | undefined;
  write(writer: WireWriter, value: T): void;
  read(reader: WireReader): T;
}

type Mode = 'one' | 'optional' | 'many';

export interface Field<T, M extends Mode> {
  readonly number: number;
  readonly type: WireType<T>;
  readonly mode: M;
  readonly maxCount: number;
}

type AnyField = Field<never, Mode> | Field<unknown, Mode>;
type FieldValue<F> = F extends Field<infer T, infer M> ? (M extends 'many' ? readonly T[] : T) : never;
type OptionalNames<S> = { [K in keyof S]: S[K] extends Field<infer _, 'optional'> ? K : never }[keyof S];
type Simplify<T> = { readonly [K in keyof T]: T[K] };

export type MessageOf<S> = Simplify<
  { [K in Exclude<keyof S, OptionalNames<S>>]: FieldValue<S[K]> } & { [K in OptionalNames<S>]?: FieldValue<S[K]> }
>;
export type Infer<T> = T extends WireType<infer V> ? V : never;

export function one<T>(number: number, type: WireType<T>): Field<T, 'one'> {
  return { number, type, mode: 'one', maxCount: 1 };
}

export function optional<T>(number: number, type: WireType<T>): Field<T, 'optional'> {
  return { number, type, mode: 'optional', maxCount: 1 };
}

/** At most `maxCount` elements; more are refused while reading, before they cost memory. */
export function many<T>(number: number, type: WireType<T>, maxCount: number): Field<T, 'many'> {
  return { number, type, mode: 'many', maxCount };
}

export function message<S extends Readonly<Record<string, AnyField>>>(shape: S): WireType<MessageOf<S>> {
  const fields = Object.entries(shape) as [string, Field<unknown, Mode>][];
  const byNumber = new Map(fields.map(([name, field]) => [field.number, { name, field }]));
  return {
    wireType: 2,
    absent: undefined,
    write(writer, value) {
      writer.nested(() => writeFields(writer, fields, value));
    },
    read(reader) {
      return readFields(reader.nested(), fields, byNumber) as MessageOf<S>;
    },
  };
}

function writeFields(
  writer: WireWriter,
  fields: readonly [string, Field<unknown, Mode>][],
  value: Record<string, unknown>,
): void {
  for (const [name, field] of fields) {
    const content = value[name];
    if (content === undefined) continue;
    for (const element of field.mode === 'many' ? (content as readonly unknown[]) : [content]) {
      writer.varint((field.number << 3) | field.type.wireType);
      field.type.write(writer, element);
    }
  }
}

function readFields(
  reader: WireReader,
  fields: readonly [string, Field<unknown, Mode>][],
  byNumber: ReadonlyMap<number, { readonly name: string; readonly field: Field<unknown, Mode> }>,
): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  while (!reader.done()) {
    const tag = reader.varint();
    const known = byNumber.get(Math.floor(tag / 8));
    if (known === undefined) reader.skip(tag & 7);
    else readField(reader, tag & 7, known.name, known.field, out);
  }
  for (const [name, field] of fields) {
    if (out[name] !== undefined || field.mode === 'optional') continue;
    out[name] = field.mode === 'many' ? [] : (field.type.absent ?? refuse(`${name} is missing`));
  }
  return out;
}

function readField(
  reader: WireReader,
  wireType: number,
  name: string,
  field: Field<unknown, Mode>,
  out: Record<string, unknown>,
): void {
  // proto3 packs repeated numbers into one field; one field each is as valid.
  if (field.mode === 'many' && field.type.wireType === 0 && wireType === 2) {
    const packed = reader.nested();
    while (!packed.done()) append(out, name, field, field.type.read(packed));
    return;
  }
  if (wireType !== field.type.wireType) refuse(`${name} has wire type ${wireType}`);
  const value = field.type.read(reader);
  if (field.mode === 'many') append(out, name, field, value);
  else out[name] = value;
}

function append(out: Record<string, unknown>, name: string, field: Field<unknown, Mode>, value: unknown): void {
  const list = (out[name] ??= []) as unknown[];
  if (list.length >= field.maxCount) refuse(`${name} has more than ${field.maxCount} elements`);
  list.push(value);
}

/** Bytes of one message, without a length prefix. */
export function encode<T>(type: WireType<T>, value: T): Uint8Array {
  const writer = new WireWriter();
  type.write(writer, value);
  return writer.finish();
}

/** Parses bytes of a stranger. The error says which field broke which rule. */
export function decode<T>(type: WireType<T>, bytes: Uint8Array): Result<T, WireError> {
  try {
    return ok(type.read(WireReader.wrapping(bytes)));
  } catch (fault) {
    if (!(fault instanceof WireFault)) throw fault;
    return err(
      appError('work.message_invalid', `The other side sent a message that breaks the protocol: ${fault.message}.`),
    );
  }
}

export class WireWriter {
  private buffer = new Uint8Array(256);
  private length = 0;
  /** The outermost message has no length before it. */
  private bare = true;

  private room(bytes: number): void {
    if (this.length + bytes <= this.buffer.length) return;
    const larger = new Uint8Array(Math.max(this.buffer.length * 2, this.length + bytes));
    larger.set(this.buffer.subarray(0, this.length));
    this.buffer = larger;
  }

  /** Unsigned, up to 2^53 - 1. */
  varint(value: number): void {
    this.room(8);
    let rest = value;
    while (rest >= 128) {
      this.buffer[this.length++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    this.buffer[this.length++] = rest;
  }

  bytes(value: Uint8Array): void {
    this.varint(value.length);
    this.room(value.length);
    this.buffer.set(value, this.length);
    this.length += value.length;
  }

  double(value: number): void {
    this.room(8);
    new DataView(this.buffer.buffer).setFloat64(this.length, value, true);
    this.length += 8;
  }

  /** Writes what `body` writes, with its length before it unless it is the outermost. */
  nested(body: () => void): void {
    if (this.bare) {
      this.bare = false;
      body();
      return;
    }
    const outer = this.buffer;
    const outerLength = this.length;
    this.buffer = new Uint8Array(64);
    this.length = 0;
    body();
    const inner = this.finish();
    this.buffer = outer;
    this.length = outerLength;
    this.bytes(inner);
  }

  finish(): Uint8Array {
    return this.buffer.subarray(0, this.length);
  }
}

export class WireReader {
  private readonly buffer: Uint8Array;
  private position: number;
  private readonly end: number;
  /** Set on the outermost reader, whose content has no length before it. */
  private bare = false;

  constructor(buffer: Uint8Array, position: number, end: number) {
    this.buffer = buffer;
    this.position = position;
    this.end = end;
  }

  static wrapping(bytes: Uint8Array): WireReader {
    const reader = new WireReader(bytes, 0, bytes.length);
    reader.bare = true;
    return reader;
  }

  done(): boolean {
    return this.position >= this.end;
  }

  varint(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 8; i += 1) {
      if (this.position >= this.end) refuse('it ends inside a number');
      const byte = this.buffer[this.position++] ?? 0;
      value += (byte & 127) * scale;
      if (byte < 128) return Number.isSafeInteger(value) ? value : refuse('a number is larger than 2^53 - 1');
      scale *= 128;
    }
    return refuse('a number is larger than 2^53 - 1');
  }

  /** A view into the message, not a copy. */
  bytes(maxBytes: number): Uint8Array {
    const length = this.varint();
    if (length > maxBytes) refuse(`a field of ${length} bytes is longer than ${maxBytes}`);
    return this.take(length);
  }

  double(): number {
    const bytes = this.take(8);
    return new DataView(bytes.buffer, bytes.byteOffset, 8).getFloat64(0, true);
  }

  nested(): WireReader {
    if (this.bare) {
      this.bare = false;
      return this;
    }
    const length = this.varint();
    const start = this.position;
    this.take(length);
    return new WireReader(this.buffer, start, start + length);
  }

  skip(wireType: number): void {
    if (wireType === 0) this.skipVarint();
    else if (wireType === 1) this.take(8);
    else if (wireType === 2) this.take(this.varint());
    else if (wireType === 5) this.take(4);
    else refuse(`wire type ${wireType} does not exist`);
  }

  private skipVarint(): void {
    for (let i = 0; i < 10; i += 1) if (((this.take(1)[0] ?? 0) & 128) === 0) return;
    refuse('a number has more than 10 bytes');
  }

  private take(length: number): Uint8Array {
    if (length > this.end - this.position) refuse('it is cut short');
    this.position += length;
    return this.buffer.subarray(this.position - length, this.position);
  }
}
