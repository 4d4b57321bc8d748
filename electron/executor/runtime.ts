import type * as Ort from 'onnxruntime-node';
import { DTYPES, type DType, type Tensor } from '#shared/model/tensor.ts';
import type { Backend, TensorSpec } from '#core/compute/port.ts';
import type { WireFailure, WireFailureCode } from '#core/compute/wire/messages.ts';

export interface RuntimeSettings {
  readonly backend: Backend;
  readonly device: number;
  /** Threads of one operator on the CPU. */
  readonly threads: number;
}

export interface LoadedSession {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** Inputs in the order of `inputs`. Never throws. */
  run(inputs: readonly Tensor[], maxOutputBytes: number): Promise<RunAnswer>;
  dispose(): Promise<void>;
}

export interface RunAnswer {
  readonly computeMicros: number;
  readonly outcome: readonly Tensor[] | WireFailure;
}

type TypedArray = Float32Array | Float64Array | Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array;
type View = TypedArray | Uint32Array | BigInt64Array | BigUint64Array;
type ViewConstructor = new (buffer: ArrayBufferLike, byteOffset: number, length: number) => View;

const VIEWS: Readonly<Record<DType, ViewConstructor>> = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
};

/** Loads a model from its bytes on exactly the backend asked for: no node may fall back to another. */
export async function loadSession(
  ort: typeof Ort,
  model: Uint8Array,
  settings: RuntimeSettings,
): Promise<LoadedSession | WireFailure> {
  try {
    const session = await ort.InferenceSession.create(model, sessionOptions(settings));
    return {
      inputs: specsOf(session.inputNames, session.inputMetadata),
      outputs: specsOf(session.outputNames, session.outputMetadata),
      run: (inputs, maxOutputBytes) => runSession(ort, session, inputs, maxOutputBytes),
      dispose: () => session.release(),
    };
  } catch (fault) {
    return failure(fault, settings.backend === 'cpu' ? 'compute.model_invalid' : 'compute.backend_unavailable');
  }
}

function sessionOptions({ backend, device, threads }: RuntimeSettings): Ort.InferenceSession.SessionOptions {
  const strict = { disable_cpu_ep_fallback: '1' };
  return {
    executionProviders: [provider(backend, device)],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    logSeverityLevel: 3,
    extra: {
      session: {
        // Threads that spin while they wait take twice the time when the machine is busy, and burn power always.
        intra_op: { allow_spinning: '0' },
        inter_op: { allow_spinning: '0' },
        ...(backend === 'cpu' ? {} : strict),
      },
    },
  };
}

function provider(backend: Backend, device: number): Ort.InferenceSession.ExecutionProviderConfig {
  if (backend === 'cuda') return { name: 'cuda', deviceId: device };
  // The default layout gave silently wrong convolutions for some channel counts.
  if (backend === 'webgpu') return { name: 'webgpu', preferredLayout: 'NCHW' };
  return { name: 'cpu' };
}

function specsOf(
  names: readonly string[],
  metadata: readonly Ort.InferenceSession.ValueMetadata[],
): readonly TensorSpec[] {
  return names.map((name, i) => {
    const value = metadata[i];
    if (value?.isTensor !== true) return { name, dtype: 'none', dims: [] };
    return { name, dtype: value.type, dims: value.shape.map((dim) => (typeof dim === 'number' ? dim : -1)) };
  });
}

async function runSession(
  ort: typeof Ort,
  session: Ort.InferenceSession,
  inputs: readonly Tensor[],
  maxOutputBytes: number,
): Promise<RunAnswer> {
  const started = process.hrtime.bigint();
  const elapsed = () => Number((process.hrtime.bigint() - started) / 1000n);
  try {
    const feeds: Record<string, Ort.Tensor> = {};
    for (const [i, name] of session.inputNames.entries()) {
      const input = inputs[i];
      if (input !== undefined) feeds[name] = toRuntime(ort, input);
    }
    const answer = await session.run(feeds);
    const computeMicros = elapsed();
    return { computeMicros, outcome: collect(session.outputNames, answer, maxOutputBytes) };
  } catch (fault) {
    return { computeMicros: elapsed(), outcome: failure(fault, 'compute.run_failed') };
  }
}

/** A view of the tensor's bytes: they start at a multiple of 8, and the runtime reads them where they lie. */
function toRuntime(ort: typeof Ort, tensor: Tensor): Ort.Tensor {
  const View = VIEWS[tensor.dtype];
  const { buffer, byteOffset, byteLength } = tensor.bytes;
  const width = 'BYTES_PER_ELEMENT' in View ? Number(View.BYTES_PER_ELEMENT) : 1;
  const view = new View(buffer, byteOffset, byteLength / width);
  return new ort.Tensor(tensor.dtype, view as never, tensor.dims);
}

function collect(
  names: readonly string[],
  answer: Ort.InferenceSession.ReturnType,
  maxOutputBytes: number,
): readonly Tensor[] | WireFailure {
  const tensors: Tensor[] = [];
  let total = 0;
  for (const name of names) {
    const value = answer[name];
    const dtype = DTYPES.find((known) => known === value?.type);
    if (value === undefined || dtype === undefined) {
      return { code: 'compute.run_failed', reason: `output ${name} is not a tensor of a known type` };
    }
    // A tensor that stays on the GPU aborts the process when it is read here.
    if (value.location !== 'cpu') return { code: 'compute.run_failed', reason: `output ${name} is not in memory` };
    const data = value.data as ArrayBufferView;
    total += data.byteLength;
    tensors.push({ dtype, dims: value.dims, bytes: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) });
  }
  if (total <= maxOutputBytes) return tensors;
  return { code: 'compute.output_too_large', reason: `${total} bytes of ${maxOutputBytes}` };
}

/** The runtime throws plain Errors; only here are its words looked at, to tell want of memory from the rest. */
function failure(fault: unknown, otherwise: WireFailureCode): WireFailure {
  const reason = fault instanceof Error ? fault.message : String(fault);
  const memory = /bad_alloc|bad allocation|failed to allocate|array buffer allocation|out of memory/iu.test(reason);
  return { code: memory ? 'compute.memory' : otherwise, reason };
}
