import { createHash } from 'node:crypto';
import { compareOutputs } from '#shared/model/compare-tensors.ts';
import { DTYPE_BYTES, elementCount, type DType, type NamedTensors } from '#shared/model/tensor.ts';
import { err, ok, type Result } from '#shared/result.ts';
import { computeErrors } from './errors.ts';
import type { ComputeError, ModelInfo, Placement } from './port.ts';

/** Runs one shard on a placement, outside of any self-test. */
export type RunOne = (placement: Placement, inputs: NamedTensors) => Promise<Result<NamedTensors, ComputeError>>;

const CPU: Placement = { backend: 'cpu', device: 0 };

/**
 * GPU drivers and kernels have been seen to give silently wrong results for some graphs. So each graph runs once on the
 * GPU and once on the CPU before a GPU takes its shards, and the two must agree within `tolerance` (relative L2).
 */
export async function selfTest(
  info: ModelInfo,
  placement: Placement,
  tolerance: number,
  runOne: RunOne,
): Promise<Result<void, ComputeError>> {
  const inputs = sampleInputs(info);
  const [cpu, gpu] = await Promise.all([runOne(CPU, inputs), runOne(placement, inputs)]);
  if (!cpu.ok) return cpu;
  if (!gpu.ok) return gpu;
  const { equal, worst } = compareOutputs(cpu.value, gpu.value, tolerance);
  if (equal) return ok();
  const why = 'This device computes this model differently than the processor does, so it is not used for it.';
  return err(
    computeErrors.backendUnavailable(placement, why, {
      reason: 'self-test',
      digest: info.digest,
      worst: Number.isFinite(worst) ? worst : 'infinite',
      tolerance,
    }),
  );
}

/**
 * The same pseudo-random inputs for the same model on every machine: floats in [-1, 1), integers and booleans 0 or 1 (valid
 * as most indices), open sizes 1.
 */
export function sampleInputs(info: ModelInfo): NamedTensors {
  const next = xorshift32(createHash('sha256').update(info.digest).digest().readUInt32LE(0));
  return Object.fromEntries(
    info.inputs.map(({ name, dtype, dims }) => {
      const sizes = dims.map((dim) => (dim === -1 ? 1 : dim));
      const type = dtype as DType;
      return [name, { dtype: type, dims: sizes, bytes: sampleBytes(type, elementCount(sizes), next) }];
    }),
  );
}

function sampleBytes(dtype: DType, count: number, next: () => number): Uint8Array {
  const width = DTYPE_BYTES[dtype];
  const bytes = Buffer.alloc(count * width);
  for (let i = 0; i < count; i += 1) {
    const value = next() * 2 - 1;
    const at = i * width;
    if (dtype === 'float32') bytes.writeFloatLE(value, at);
    else if (dtype === 'float64') bytes.writeDoubleLE(value, at);
    // ±1, ±0.5, ±0.25 or ±0.125: sign, one of four exponents, no fraction.
    else if (dtype === 'float16') bytes.writeUInt16LE((value < 0 ? 0x8000 : 0) | ((12 + (i & 3)) << 10), at);
    else bytes.writeUInt8(value < 0 ? 0 : 1, at);
  }
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Marsaglia's xorshift, 32 bits, as numbers in [0, 1). */
function xorshift32(seed: number): () => number {
  let state = seed === 0 ? 1 : seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
