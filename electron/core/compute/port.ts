import type { AppError } from '#shared/errors.ts';
import type { NamedTensors } from '#shared/model/tensor.ts';
import type { Result } from '#shared/result.ts';
import type { Sha256Hex } from '#shared/units.ts';

export type Backend = 'cpu' | 'webgpu' | 'cuda';

/** Where a shard runs. `device` is the index of the GPU within its backend; 0 for cpu. */
export interface Placement {
  readonly backend: Backend;
  readonly device: number;
}

export interface ModelSource {
  /** SHA-256 of the ONNX file's bytes. */
  readonly digest: Sha256Hex;
  /** Reads the whole model; called only when no executor has it loaded. */
  readonly read: () => Promise<Uint8Array>;
}

export type ComputeErrorCode =
  | 'compute.model_refused'
  | 'compute.model_invalid'
  | 'compute.input_invalid'
  | 'compute.output_too_large'
  | 'compute.deadline'
  | 'compute.memory'
  | 'compute.killed'
  | 'compute.executor_crashed'
  | 'compute.executor_unavailable'
  | 'compute.backend_unavailable'
  | 'compute.run_failed'
  | 'compute.stopped';

export type ComputeError = AppError<ComputeErrorCode>;

export interface TensorSpec {
  readonly name: string;
  readonly dtype: string;
  /** -1 where the model leaves the size open. */
  readonly dims: readonly number[];
}

export interface ModelInfo {
  readonly digest: Sha256Hex;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** Upper estimate from shapes, bytes, weights included. */
  readonly peakBytes: number;
}

export interface RunOptions {
  readonly placement: Placement;
  /**
   * For the whole batch, session creation included when the model is not loaded yet; SIGKILL at its end. Its clock starts
   * when the batches before it on the same placement are done.
   */
  readonly deadlineMs: number;
  readonly signal?: AbortSignal;
  /** Outputs above this many bytes a shard are refused with compute.output_too_large. */
  readonly maxOutputBytes?: number;
}

export interface RunOutput {
  /** One entry per input of the batch, in order. A shard that fails does not fail its batch. */
  readonly results: readonly Result<NamedTensors, ComputeError>[];
  /** Time inside the runtime's run() alone, summed over the batch. */
  readonly computeMs: number;
}

export interface ComputeStatus {
  readonly executors: readonly {
    readonly placement: Placement;
    readonly pid: number | undefined;
    readonly state: 'starting' | 'idle' | 'busy' | 'backing-off' | 'stopped';
    readonly loaded: readonly Sha256Hex[];
    readonly residentBytes: number | undefined;
    readonly restarts: number;
  }[];
}

/**
 * Runs shards: a model and a batch of inputs in, outputs out. Nothing a shard does reaches past this port:
 * a hostile or broken one costs its caller a coded error and its executor a restart.
 */
export interface Compute {
  /** Admission and load, without running. Errors say why a model is refused. */
  prepare(model: ModelSource, placement: Placement, signal?: AbortSignal): Promise<Result<ModelInfo, ComputeError>>;
  /**
   * Runs a batch. It errs as a whole when it ended (deadline, kill, stop) before any shard was answered, or when no shard can
   * run at all (the model is refused, the device missing). Once a shard has been answered, what was done is never lost: the
   * rest of the batch carries the error shard by shard. The inputs' bytes must stay unchanged until then.
   */
  run(
    model: ModelSource,
    batch: readonly NamedTensors[],
    options: RunOptions,
  ): Promise<Result<RunOutput, ComputeError>>;
  /** Kills every executor of the placement at once (the owner wants the GPU back); work in flight ends in compute.killed. */
  release(placement: Placement): Promise<void>;
  status(): ComputeStatus;
  stop(): Promise<void>;
}
