import type { DType } from '../../model/tensor.ts';
import { DTYPE_BYTES } from '../../model/tensor.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { refuse } from '../admission/errors.ts';

/** What is known of a value before running: its type, its sizes, and for small constants the elements. */
export interface Fact {
  readonly dtype: DType;
  readonly dims: readonly number[];
  /**
   * Row-major elements of a small value that the inputs' data cannot change; exactly what the runtime will
   * compute, or absent. Booleans are 0 and 1.
   */
  readonly values?: readonly number[];
}

/** Keeps `values` only where they are few and each is exact. */
export function valueFact(dtype: DType, dims: readonly number[], values: readonly number[] | undefined): Fact {
  if (values === undefined || values.length > LIMITS.onnx.constantElements) return { dtype, dims };
  return values.every((value) => isExact(dtype, value)) ? { dtype, dims, values } : { dtype, dims };
}

/** Integer types followed by value, with their range. int64 reaches to INT64_MAX, which stands for "to the end" in slices. */
const INTEGER_RANGES: Partial<Record<DType, readonly [number, number]>> = {
  bool: [0, 1],
  int8: [-0x80, 0x7f],
  uint8: [0, 0xff],
  int32: [-0x8000_0000, 0x7fff_ffff],
  int64: [-(2 ** 63), 2 ** 63],
};

function isExact(dtype: DType, value: number): boolean {
  if (dtype === 'float32') return Number.isFinite(value) && Math.fround(value) === value;
  if (dtype === 'float64') return Number.isFinite(value);
  const range = INTEGER_RANGES[dtype];
  return range !== undefined && Number.isInteger(value) && value >= range[0] && value <= range[1];
}

export function elements(dims: readonly number[]): number {
  let product = 1;
  for (const dim of dims) product *= dim;
  return product;
}

export function factBytes(fact: Fact): number {
  return elements(fact.dims) * DTYPE_BYTES[fact.dtype];
}

/** Holds a value against the caps on rank, sizes and bytes. `what` names it in the refusal. */
export function checkFact(
  fact: Fact,
  what: string,
  limits: { readonly rank: number; readonly tensorBytes: number },
): void {
  checkDims(fact.dims, what, limits.rank);
  const bytes = factBytes(fact);
  if (bytes > limits.tensorBytes) {
    refuse('admission.tensor_too_large', `${what} would take ${bytes} bytes, more than one value may`, {
      bytes,
      limit: limits.tensorBytes,
    });
  }
}

export function checkDims(dims: readonly number[], what: string, maxRank: number): void {
  if (dims.length > maxRank) {
    refuse('admission.rank', `${what} has ${dims.length} dimensions, more than ${maxRank} are not taken`, {
      rank: dims.length,
      limit: maxRank,
    });
  }
  for (const dim of dims) {
    if (!Number.isInteger(dim) || dim < 0 || dim > LIMITS.onnx.dimSize) {
      refuse('admission.dims', `${what} has an impossible size`, { size: dim });
    }
  }
  if (!Number.isSafeInteger(elements(dims))) refuse('admission.dims', `the sizes of ${what} overflow`);
}
