import { DTYPES, DTYPE_BYTES, elementCount, type NamedTensors, type Tensor } from '../model/tensor.ts';
import { appError, type AppError } from '../errors.ts';
import { err, ok, type Result } from '../result.ts';
import type { TensorLayout } from './work-messages.ts';

/** Layout of a shard's tensors, names ascending by UTF-16 code units (JavaScript's own order of strings). */
export function layoutOf(tensors: NamedTensors): TensorLayout {
  const names = Object.keys(tensors).sort();
  return {
    tensors: names.flatMap((name) => {
      const tensor = tensors[name];
      return tensor === undefined ? [] : [{ name, dtype: tensor.dtype, dims: tensor.dims }];
    }),
  };
}

/** Two layouts are the same exactly when their keys are. */
export function layoutKey(layout: TensorLayout): string {
  return JSON.stringify(layout.tensors.map((spec) => [spec.name, spec.dtype, spec.dims]));
}

/** Payload bytes of one shard in this layout. */
export function layoutBytes(layout: TensorLayout): number {
  return layout.tensors.reduce((sum, spec) => sum + elementCount(spec.dims) * DTYPE_BYTES[spec.dtype], 0);
}

/** Payload bytes of several shards together. */
export function payloadBytes(layouts: readonly TensorLayout[]): number {
  return layouts.reduce((sum, layout) => sum + layoutBytes(layout), 0);
}

/** Refuses a stranger's layout with unordered or repeated names, or more than `maxBytes` a shard. */
export function checkLayout(layout: TensorLayout, maxBytes: number): Result<void, AppError<'work.message_invalid'>> {
  let last: string | undefined;
  for (const spec of layout.tensors) {
    if (last !== undefined && spec.name <= last) {
      return err(
        appError('work.message_invalid', 'The other side sent tensors whose names are not in ascending order.'),
      );
    }
    last = spec.name;
  }
  return layoutBytes(layout) <= maxBytes
    ? ok()
    : err(
        appError('work.message_invalid', `The other side sent tensors of more than ${maxBytes} bytes for one shard.`),
      );
}

/** The bytes of the tensors in the layout's order: what is hashed and what is sent. */
export function payloadOf(layout: TensorLayout, tensors: NamedTensors): readonly Uint8Array[] {
  return layout.tensors.map((spec) => tensors[spec.name]?.bytes ?? new Uint8Array());
}

/** The inverse of `payloadOf`. */
export function tensorsOf(layout: TensorLayout, parts: readonly Uint8Array[]): NamedTensors {
  const entries = layout.tensors.map((spec, at): [string, Tensor] => [
    spec.name,
    { dtype: spec.dtype, dims: spec.dims, bytes: parts[at] ?? new Uint8Array() },
  ]);
  return Object.fromEntries(entries);
}

/**
 * What stands before the tensors' bytes under a shard's digest, so that the same bytes in another shape are another
 * shard. Number of tensors (u32), then per tensor: length of its name in UTF-8 (u32), the name, number of its dtype from
 * 1 in DTYPES (u8), rank (u8), each dimension (u64); all little-endian.
 */
export function digestHeader(layout: TensorLayout): Uint8Array {
  const out: number[] = [];
  const u32 = (value: number) => out.push(value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24);
  u32(layout.tensors.length);
  for (const spec of layout.tensors) {
    const name = utf8(spec.name);
    u32(name.length);
    out.push(...name, DTYPES.indexOf(spec.dtype) + 1, spec.dims.length);
    // Dimensions are far below 2^53: low and high word of a 64-bit integer.
    for (const dim of spec.dims) {
      u32(dim % 2 ** 32);
      u32(Math.floor(dim / 2 ** 32));
    }
  }
  return Uint8Array.from(out);
}

declare const TextEncoder: new () => { encode(text: string): Uint8Array };
const encoder = new TextEncoder();
const utf8 = (text: string) => encoder.encode(text);
