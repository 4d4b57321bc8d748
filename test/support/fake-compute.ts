import type {
  Compute,
  ComputeError,
  ComputeErrorCode,
  ComputeStatus,
  ModelInfo,
  ModelSource,
  Placement,
  RunOptions,
  RunOutput,
} from '#core/compute/port.ts';
import { appError, CodedFault } from '#shared/errors.ts';
import { tensorBytes, type NamedTensors } from '#shared/model/tensor.ts';
import { err, ok, type Result } from '#shared/result.ts';

/** A "model" that is a function. It may be slow (return a promise) and may throw a CodedFault with a ComputeError. */
export interface FakeModel {
  readonly info: ModelInfo;
  readonly compute: (inputs: NamedTensors, signal: AbortSignal) => NamedTensors | Promise<NamedTensors>;
}

export interface FakeComputeOptions {
  readonly models: readonly FakeModel[];
  /** Placements that exist; cpu 0 alone when absent. */
  readonly placements?: readonly Placement[];
}

type ShardResult = Result<NamedTensors, ComputeError>;

const fail = (code: ComputeErrorCode, message = `fake: ${code}`): ComputeError => appError(code, message);

const keyOf = (placement: Placement) => `${placement.backend}:${placement.device}`;

/**
 * Compute without processes or a runtime: models are functions found by digest, every rule of the port holds (it runs
 * through the same contract suite as the real pool). Digests it was not told of are refused as compute.model_invalid.
 */
export function createFakeCompute(options: FakeComputeOptions): Compute {
  const models = new Map(options.models.map((model) => [model.info.digest, model]));
  const placements = new Map((options.placements ?? [{ backend: 'cpu', device: 0 }]).map((p) => [keyOf(p), p]));
  const killers = new Map<string, Set<(error: ComputeError) => void>>();
  const loaded = new Map<string, Set<ModelInfo['digest']>>();
  let stopped = false;

  function gate(placement: Placement, signal?: AbortSignal): ComputeError | undefined {
    if (stopped) return fail('compute.stopped');
    if (signal?.aborted === true) return fail('compute.killed');
    return placements.has(keyOf(placement)) ? undefined : fail('compute.backend_unavailable');
  }

  function load(source: ModelSource, placement: Placement): FakeModel | undefined {
    const model = models.get(source.digest);
    if (model === undefined) return undefined;
    const key = keyOf(placement);
    loaded.set(key, (loaded.get(key) ?? new Set()).add(source.digest));
    return model;
  }

  /** Settles with the shards' results, or with the first of deadline, abort, release and stop. */
  function run(
    model: FakeModel,
    batch: readonly NamedTensors[],
    how: RunOptions,
  ): Promise<Result<RunOutput, ComputeError>> {
    const end = new AbortController();
    const key = keyOf(how.placement);
    const running = killers.get(key) ?? new Set();
    killers.set(key, running);
    const results: ShardResult[] = [];
    const started = performance.now();
    return new Promise((resolve, reject) => {
      const finish = () => resolve(ok({ results, computeMs: performance.now() - started }));
      const kill = (error: ComputeError) => {
        end.abort();
        if (results.length === 0) return resolve(err(error));
        while (results.length < batch.length) results.push(err(error));
        finish();
      };
      const onAbort = () => kill(fail('compute.killed'));
      const timer = setTimeout(() => kill(fail('compute.deadline')), how.deadlineMs);
      running.add(kill);
      how.signal?.addEventListener('abort', onAbort, { once: true });
      runBatch(model, batch, how, end.signal, results)
        .then(finish, reject)
        .finally(() => {
          clearTimeout(timer);
          running.delete(kill);
          how.signal?.removeEventListener('abort', onAbort);
        });
    });
  }

  function killAll(keys: Iterable<string>, error: ComputeError): void {
    for (const key of keys) {
      loaded.delete(key);
      for (const kill of killers.get(key) ?? []) kill(error);
    }
  }

  return {
    async prepare(source, placement, signal) {
      const closed = gate(placement, signal);
      if (closed !== undefined) return err(closed);
      const model = load(source, placement);
      return model === undefined ? err(fail('compute.model_invalid')) : ok(model.info);
    },
    async run(source, batch, how) {
      const closed = gate(how.placement, how.signal);
      if (closed !== undefined) return err(closed);
      const model = load(source, how.placement);
      return model === undefined ? err(fail('compute.model_invalid')) : await run(model, batch, how);
    },
    async release(placement) {
      killAll([keyOf(placement)], fail('compute.killed'));
    },
    status(): ComputeStatus {
      return {
        executors: [...loaded].flatMap(([key, digests]) => {
          const placement = placements.get(key);
          if (placement === undefined) return [];
          const state = (killers.get(key)?.size ?? 0) > 0 ? 'busy' : 'idle';
          return [{ placement, pid: undefined, state, loaded: [...digests], residentBytes: undefined, restarts: 0 }];
        }),
      };
    },
    async stop() {
      stopped = true;
      killAll([...killers.keys()], fail('compute.stopped'));
    },
  };
}

async function runBatch(
  model: FakeModel,
  batch: readonly NamedTensors[],
  how: RunOptions,
  signal: AbortSignal,
  results: ShardResult[],
): Promise<void> {
  for (const inputs of batch) {
    const result = await runOne(model, inputs, how, signal);
    if (signal.aborted) return;
    results.push(result);
  }
}

async function runOne(
  model: FakeModel,
  inputs: NamedTensors,
  how: RunOptions,
  signal: AbortSignal,
): Promise<ShardResult> {
  if (!fits(model.info, inputs)) return err(fail('compute.input_invalid'));
  try {
    const outputs = await model.compute(inputs, signal);
    const tooLarge = tensorBytes(outputs) > (how.maxOutputBytes ?? Infinity);
    return tooLarge ? err(fail('compute.output_too_large')) : ok(outputs);
  } catch (fault) {
    if (fault instanceof CodedFault) return err(fault.error as ComputeError);
    throw fault;
  }
}

function fits(info: ModelInfo, inputs: NamedTensors): boolean {
  return (
    Object.keys(inputs).length === info.inputs.length &&
    info.inputs.every(({ name, dtype, dims }) => {
      const tensor = inputs[name];
      return (
        tensor?.dtype === dtype &&
        tensor.dims.length === dims.length &&
        dims.every((dim, axis) => dim === -1 || dim === tensor.dims[axis])
      );
    })
  );
}
