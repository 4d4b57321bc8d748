import { DTYPE_BYTES } from '../model/tensor.ts';
import type { DType } from '../model/tensor.ts';
import { LIMITS } from '../protocol/limits.ts';
import { refuse, tooLarge } from './errors.ts';
import type { TensorFileResult } from './errors.ts';

/** Bytes of a dense tensor, or why there can be none; nothing is allocated. */
export function tensorSize(dtype: DType, dims: readonly number[], maxBytes: number): TensorFileResult<number> {
  if (dims.length > LIMITS.tensorFile.rank) {
    return refuse('tensor_file.header_invalid', `The tensor has ${dims.length} dimensions; at most 8 are supported.`, {
      data: { rank: dims.length, maxRank: LIMITS.tensorFile.rank },
    });
  }
  let bytes: number = DTYPE_BYTES[dtype];
  // An empty tensor is empty however large its other dimensions claim to be.
  for (const dim of dims) if (dim === 0) return { ok: true, value: 0 };
  for (const dim of dims) {
    if (!Number.isSafeInteger(dim) || dim < 0) {
      return refuse('tensor_file.header_invalid', `A dimension of ${dim} makes no sense.`);
    }
    bytes *= dim;
    if (bytes > maxBytes) return tooLarge(bytes, maxBytes);
  }
  return { ok: true, value: bytes };
}

/** Reverses the bytes of each element in place. */
export function swapBytes(bytes: Uint8Array, width: number): void {
  if (width === 1) return;
  for (let start = 0; start + width <= bytes.byteLength; start += width) bytes.subarray(start, start + width).reverse();
}

/**
 * From column-major (Fortran) to row-major (C) order: in Fortran order the first index varies fastest. Answers new
 * bytes of the same length.
 */
export function rowMajor(bytes: Uint8Array, dims: readonly number[], width: number): Uint8Array {
  const out = new Uint8Array(bytes.byteLength);
  const strides: number[] = [];
  let stride = width;
  for (const dim of dims) {
    strides.push(stride);
    stride *= dim;
  }
  const index = dims.map(() => 0);
  let from = 0;
  for (let to = 0; to < out.byteLength; to += width) {
    for (let byte = 0; byte < width; byte += 1) out[to + byte] = bytes[from + byte] ?? 0;
    // Next index in C order: the last one counts up first.
    for (let axis = dims.length - 1; axis >= 0; axis -= 1) {
      const next = (index[axis] ?? 0) + 1;
      const step = strides[axis] ?? 0;
      if (next < (dims[axis] ?? 0)) {
        index[axis] = next;
        from += step;
        break;
      }
      from -= step * (next - 1);
      index[axis] = 0;
    }
  }
  return out;
}
