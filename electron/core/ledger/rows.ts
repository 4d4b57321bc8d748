import { tensorLayout, type TensorLayout } from '#shared/protocol/work-messages.ts';
import { decode, encode } from '#shared/protocol/work-wire.ts';
import { wei, type Hex, type Wei } from '#shared/units.ts';
import type { Row } from './database.ts';

/** Typed views of a row's columns. The tables are STRICT and ours, so a mismatch is a fault. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- names the brand or union that the column holds
export function textOf<T extends string = string>(row: Row, column: string): T {
  const value = row[column];
  if (typeof value !== 'string') throw new TypeError(`${column} is not text`);
  return value as T;
}

export function numberOf(row: Row, column: string): number {
  const value = row[column];
  if (typeof value !== 'number') throw new TypeError(`${column} is not a number`);
  return value;
}

export function bytesOf(row: Row, column: string): Uint8Array {
  const value = row[column];
  if (!(value instanceof Uint8Array)) throw new TypeError(`${column} is not a blob`);
  return value;
}

export function maybe<T>(row: Row, column: string, read: (row: Row, column: string) => T): T | undefined {
  return row[column] === null ? undefined : read(row, column);
}

export const weiOf = (row: Row, column: string): Wei => wei(BigInt(textOf(row, column)));
export const hexOf = (row: Row, column: string): Hex => textOf<Hex>(row, column);

/** Decimal text, as amounts are kept. */
export const amount = (value: Wei): string => value.toString();

const encoded = new WeakMap<TensorLayout, Uint8Array>();

/** Shards of one lease share their layout object, so it is encoded once. */
export function layoutBlob(layout: TensorLayout): Uint8Array {
  const known = encoded.get(layout);
  if (known !== undefined) return known;
  const bytes = encode(tensorLayout, layout);
  encoded.set(layout, bytes);
  return bytes;
}

export function layoutOfRow(row: Row): TensorLayout {
  const layout = decode(tensorLayout, bytesOf(row, 'layout'));
  if (!layout.ok) throw new TypeError(`layout of a row: ${layout.error.message}`);
  return layout.value;
}

/** Tensors' bytes end to end, in the layout's order. */
export function joinBytes(parts: readonly Uint8Array[]): Uint8Array {
  const only = parts[0];
  if (parts.length === 1 && only !== undefined) return only;
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.byteLength;
  }
  return out;
}
