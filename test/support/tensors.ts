import type { Tensor } from '#shared/model/tensor.ts';

function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

/** Tensors for tests, from plain numbers; one dimension unless `dims` says otherwise. */
export function f32(values: readonly number[], dims: readonly number[] = [values.length]): Tensor {
  return { dtype: 'float32', dims, bytes: bytesOf(Float32Array.from(values)) };
}

export function f64(values: readonly number[], dims: readonly number[] = [values.length]): Tensor {
  return { dtype: 'float64', dims, bytes: bytesOf(Float64Array.from(values)) };
}

/** Float16 tensor from raw bit patterns. */
export function f16Bits(bits: readonly number[], dims: readonly number[] = [bits.length]): Tensor {
  return { dtype: 'float16', dims, bytes: bytesOf(Uint16Array.from(bits)) };
}

export function i32(values: readonly number[], dims: readonly number[] = [values.length]): Tensor {
  return { dtype: 'int32', dims, bytes: bytesOf(Int32Array.from(values)) };
}

export function i64(values: readonly bigint[], dims: readonly number[] = [values.length]): Tensor {
  return { dtype: 'int64', dims, bytes: bytesOf(BigInt64Array.from(values)) };
}

export function bool(values: readonly boolean[], dims: readonly number[] = [values.length]): Tensor {
  return { dtype: 'bool', dims, bytes: Uint8Array.from(values, Number) };
}

/** The numbers of a float32 tensor, copied, so that unaligned bytes do not matter. */
export function float32Values(tensor: Tensor | undefined): number[] {
  if (tensor?.dtype !== 'float32') throw new Error(`expected a float32 tensor, got ${tensor?.dtype ?? 'none'}`);
  return [...new Float32Array(tensor.bytes.slice().buffer)];
}
