import { DTYPE_BYTES, elementCount, type DType, type NamedTensors, type Tensor } from './tensor.ts';

/** What two answers to one shard differ by. */
export interface Comparison {
  readonly equal: boolean;
  /**
   * Largest relative L2 distance of any output, 0 when all are the same; Infinity when the answers cannot be close:
   * other names, types or shapes, other integers or booleans, NaN or an infinity on one side only.
   */
  readonly worst: number;
  /** The output that `worst` was found in; absent when the names themselves differ or there is no output. */
  readonly tensor?: string;
}

/**
 * Compares two answers to one shard: integers and booleans exactly, floats by relative L2 distance per output,
 * |a - b| / max(|a|, |b|), which must not exceed `tolerance` (a ratio, 1e-5 for instance).
 *
 * The distance is symmetric, so neither of two peers is "the right one". NaNs must stand at the same places, infinities
 * too and with the same sign; both are left out of the norms. Subnormals count as zero, because GPUs flush them.
 * Pure, allocates nothing that grows with the tensors when their bytes are aligned.
 */
export function compareOutputs(a: NamedTensors, b: NamedTensors, tolerance: number): Comparison {
  const names = Object.keys(a);
  if (names.length !== Object.keys(b).length) return { equal: false, worst: Infinity };
  let worst = 0;
  let tensor: string | undefined;
  for (const name of names) {
    const left = Object.hasOwn(a, name) ? a[name] : undefined;
    const right = Object.hasOwn(b, name) ? b[name] : undefined;
    if (left === undefined || right === undefined) return { equal: false, worst: Infinity };
    const distance = tensorDistance(left, right);
    if (tensor === undefined || distance > worst) {
      worst = Math.max(worst, distance);
      tensor = name;
    }
  }
  const comparison = { equal: worst <= tolerance, worst };
  return tensor === undefined ? comparison : { ...comparison, tensor };
}

function tensorDistance(a: Tensor, b: Tensor): number {
  if (a.dtype !== b.dtype || !sameDims(a.dims, b.dims)) return Infinity;
  const size = elementCount(a.dims) * DTYPE_BYTES[a.dtype];
  if (a.bytes.byteLength !== size || b.bytes.byteLength !== size) return Infinity;
  const flush = SUBNORMAL_BELOW[a.dtype];
  if (flush === undefined) return sameBytes(a.bytes, b.bytes) ? 0 : Infinity;
  return relativeL2(floats(a), floats(b), flush);
}

/** Smallest normal magnitude of each float type; what is no float has none and is compared exactly. */
const SUBNORMAL_BELOW: Readonly<Partial<Record<DType, number>>> = {
  float16: 2 ** -14,
  float32: 2 ** -126,
  float64: 2 ** -1022,
};

function sameDims(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((dim, axis) => dim === b[axis]);
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < a.length; i += 1) if (a[i] !== b[i]) return false;
  return true;
}

function floats(tensor: Tensor): ArrayLike<number> {
  const width = DTYPE_BYTES[tensor.dtype];
  // A typed array must start at a multiple of its element's size; a slice starts at 0.
  const bytes = tensor.bytes.byteOffset % width === 0 ? tensor.bytes : tensor.bytes.slice();
  const count = bytes.byteLength / width;
  if (tensor.dtype === 'float64') return new Float64Array(bytes.buffer, bytes.byteOffset, count);
  if (tensor.dtype === 'float32') return new Float32Array(bytes.buffer, bytes.byteOffset, count);
  return Float64Array.from(new Uint16Array(bytes.buffer, bytes.byteOffset, count), halfToNumber);
}

/** IEEE 754 binary16, subnormals, infinities and NaN included. */
function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Both hold the same number of elements. Values are scaled by the largest of them, so that no square overflows. */
function relativeL2(a: ArrayLike<number>, b: ArrayLike<number>, flushBelow: number): number {
  let largest = 0;
  for (let i = 0; i < a.length; i += 1) {
    const x = a[i] ?? 0;
    const y = b[i] ?? 0;
    if (Number.isFinite(x) && Number.isFinite(y)) {
      largest = Math.max(largest, Math.abs(x), Math.abs(y));
    } else if (!Object.is(x, y)) {
      return Infinity;
    }
  }
  if (largest < flushBelow) return 0;
  let difference = 0;
  let normA = 0;
  let normB = 0;
  for (let i = 0; i < a.length; i += 1) {
    const x = scaled(a[i] ?? 0, largest, flushBelow);
    const y = scaled(b[i] ?? 0, largest, flushBelow);
    difference += (x - y) ** 2;
    normA += x * x;
    normB += y * y;
  }
  return Math.sqrt(difference / Math.max(normA, normB));
}

/** NaN and infinities were found to agree before, so they add nothing. */
function scaled(value: number, largest: number, flushBelow: number): number {
  return Number.isFinite(value) && Math.abs(value) >= flushBelow ? value / largest : 0;
}
