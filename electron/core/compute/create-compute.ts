import { availableParallelism } from 'node:os';
import type { AdmissionLimits } from '#shared/onnx/admission.ts';
import type { NamedTensors } from '#shared/model/tensor.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import { err, ok, type Result } from '#shared/result.ts';
import { probeBackends, type BackendProbe } from './backends.ts';
import { computeErrors } from './errors.ts';
import { ModelRegistry, type FoundModel } from './models.ts';
import type { ExecutorEnd } from './pool/executor-process.ts';
import { ExecutorSlot } from './pool/executor-slot.ts';
import type { Compute, ComputeError, ModelInfo, ModelSource, Placement, RunOptions, RunOutput } from './port.ts';
import type { ExecutorFiles, SandboxTier } from './sandbox/command.ts';
import { probeSandbox } from './sandbox/probe.ts';
import type { SandboxReport } from './sandbox/report.ts';
import { selfTest } from './self-test.ts';

export interface CreateComputeOptions extends ExecutorFiles {
  /** Threads of one operator on the CPU; default: all the machine has. */
  readonly threads?: number;
  /** What an executor may hold above its own start size. */
  readonly memoryBytes?: number;
  /** Loaded models of one executor together, by their estimated peak. */
  readonly sessionsBytes?: number;
  readonly idleMs?: number;
  /** What models may be; default LIMITS.onnx. */
  readonly admission?: Partial<AdmissionLimits>;
  /** Relative L2 distance that GPU and CPU may be apart on a model before the GPU is not used for it. */
  readonly selfTestTolerance?: number;
  /** Tiers to try, strongest first; default: all of the platform. */
  readonly tiers?: readonly SandboxTier[];
  /** Told of executors that died, for the log. */
  readonly onDeath?: (placement: Placement, end: ExecutorEnd) => void;
}

/** Compute over sandboxed executor processes, and what it found out about this machine. */
export interface ComputePool extends Compute {
  /** What executors are denied here, found by trying; the first call takes some 0.2 s, later ones none. */
  sandbox(): Promise<SandboxReport>;
  /** Placements of this machine, and why others are missing. Asked once. */
  backends(): Promise<readonly BackendProbe[]>;
}

const SELF_TEST_TOLERANCE = 1e-4;
const keyOf = ({ backend, device }: Placement) => `${backend}:${device}`;

/** Nothing is started before it is needed. */
export function createCompute(options: CreateComputeOptions): ComputePool {
  return new Pool(options);
}

class Pool implements ComputePool {
  readonly #options: CreateComputeOptions;
  readonly #models: ModelRegistry;
  readonly #slots = new Map<string, ExecutorSlot>();
  readonly #tested = new Map<string, Promise<Result<void, ComputeError>>>();
  #sandbox: Promise<SandboxReport> | undefined;
  #backends: Promise<readonly BackendProbe[]> | undefined;
  #stopping: Promise<void> | undefined;

  constructor(options: CreateComputeOptions) {
    this.#options = options;
    this.#models = new ModelRegistry(options.admission ?? {});
  }

  sandbox(): Promise<SandboxReport> {
    this.#sandbox ??= probeSandbox(this.#options, this.#options.tiers);
    return this.#sandbox;
  }

  backends(): Promise<readonly BackendProbe[]> {
    this.#backends ??= this.sandbox().then(({ tier }) => probeBackends(this.#options, tier));
    return this.#backends;
  }

  async prepare(
    source: ModelSource,
    placement: Placement,
    signal?: AbortSignal,
  ): Promise<Result<ModelInfo, ComputeError>> {
    const found = await this.#bounded(LIMITS.compute.prepareMs, signal, () => this.#ready(source, placement, signal));
    if (!found.ok) return found;
    const { model, bytes, slot } = found.value;
    const deadlineMs = LIMITS.compute.prepareMs;
    const request = { source, info: model.info, bytes, shards: [], deadlineMs, maxOutputBytes: 0 };
    const loaded = await slot.run(request, signal);
    return loaded.ok ? ok(model.info) : loaded;
  }

  async run(
    source: ModelSource,
    batch: readonly NamedTensors[],
    options: RunOptions,
  ): Promise<Result<RunOutput, ComputeError>> {
    const { placement, deadlineMs, signal, maxOutputBytes = LIMITS.shard.outputBytes } = options;
    if (batch.length > LIMITS.compute.batchShards) {
      return err(computeErrors.invalidInput(`a batch has at most ${LIMITS.compute.batchShards} shards`));
    }
    const found = await this.#bounded(deadlineMs, signal, () => this.#ready(source, placement, signal));
    if (!found.ok) return found;
    if (batch.length === 0) return ok({ results: [], computeMs: 0 });
    const { model, bytes, slot } = found.value;
    const shards = batch.map((inputs): Result<NamedTensors, ComputeError> => {
      const misfit = model.checkInputs(inputs, maxOutputBytes);
      return misfit === undefined ? ok(inputs) : err(misfit);
    });
    return await slot.run({ source, info: model.info, bytes, shards, deadlineMs, maxOutputBytes }, signal);
  }

  async release(placement: Placement): Promise<void> {
    await this.#slots.get(keyOf(placement))?.release('release');
  }

  status(): ReturnType<Compute['status']> {
    return { executors: [...this.#slots.values()].map((slot) => slot.status()) };
  }

  stop(): Promise<void> {
    this.#stopping ??= Promise.all([...this.#slots.values()].map((slot) => slot.release('stop'))).then(() => undefined);
    return this.#stopping;
  }

  /** Everything that stands before a shard may run: the device exists, the model is admitted, and the two agree. */
  async #ready(
    source: ModelSource,
    placement: Placement,
    signal: AbortSignal | undefined,
  ): Promise<Result<FoundModel & { readonly slot: ExecutorSlot }, ComputeError>> {
    const [slot, found] = await Promise.all([this.#slot(placement), this.#models.find(source)]);
    if (!found.ok) return found;
    if (!slot.ok) return slot;
    if (placement.backend !== 'cpu') {
      const tested = await this.#selfTest(source, found.value, placement, signal);
      if (!tested.ok) return tested;
    }
    return ok({ ...found.value, slot: slot.value });
  }

  async #slot(placement: Placement): Promise<Result<ExecutorSlot, ComputeError>> {
    const key = keyOf(placement);
    const known = this.#slots.get(key);
    if (known !== undefined) return ok(known);
    const tier = await this.#tierOf(placement);
    if (!tier.ok) return tier;
    if (this.#stopping !== undefined) return err(computeErrors.stopped());
    const slot = this.#slots.get(key) ?? this.#newSlot(placement, tier.value);
    this.#slots.set(key, slot);
    return ok(slot);
  }

  async #tierOf(placement: Placement): Promise<Result<SandboxTier, ComputeError>> {
    try {
      if (placement.backend === 'cpu' && placement.device === 0) return ok((await this.sandbox()).tier);
      const backends = await this.backends();
      const probe = backends.find((each) => each.placement.backend === placement.backend);
      // Which of several CUDA devices exist only CUDA knows: it refuses the others when a model is loaded.
      const exists = probe !== undefined && (placement.device === 0 || placement.backend === 'cuda');
      if (!exists) return err(computeErrors.backendUnavailable(placement, 'There is no such device here.'));
      return probe.available ? ok(probe.tier) : err(computeErrors.backendUnavailable(placement, probe.reason));
    } catch (fault) {
      // No executor of any tier starts: the next call tries anew.
      this.#sandbox = undefined;
      this.#backends = undefined;
      return err(computeErrors.unavailable(placement, fault instanceof Error ? fault.message : 'unknown'));
    }
  }

  #newSlot(placement: Placement, tier: SandboxTier): ExecutorSlot {
    const { executorEntry, readableRoots, threads, memoryBytes, sessionsBytes, idleMs, onDeath } = this.#options;
    return new ExecutorSlot({
      files: { executorEntry, readableRoots },
      tier,
      placement,
      threads: threads ?? availableParallelism(),
      memoryBytes: memoryBytes ?? LIMITS.compute.memoryBytes,
      sessionsBytes: sessionsBytes ?? LIMITS.compute.sessionsBytes,
      idleMs: idleMs ?? LIMITS.compute.idleMs,
      ...(onDeath === undefined ? {} : { onDeath: (end: ExecutorEnd) => onDeath(placement, end) }),
    });
  }

  /** One verdict per model and device. What ended for a passing reason is asked again next time. */
  async #selfTest(
    source: ModelSource,
    { model, bytes }: FoundModel,
    placement: Placement,
    signal: AbortSignal | undefined,
  ): Promise<Result<void, ComputeError>> {
    const key = `${keyOf(placement)} ${source.digest}`;
    const tolerance = this.#options.selfTestTolerance ?? SELF_TEST_TOLERANCE;
    const test =
      this.#tested.get(key) ??
      selfTest(model.info, placement, tolerance, async (where, inputs) => {
        const slot = await this.#slot(where);
        if (!slot.ok) return slot;
        const shards = [ok(inputs)];
        const { prepareMs: deadlineMs } = LIMITS.compute;
        const request = {
          source,
          info: model.info,
          bytes,
          shards,
          deadlineMs,
          maxOutputBytes: LIMITS.shard.outputBytes,
        };
        const answer = await slot.value.run(request, signal);
        return answer.ok ? (answer.value.results[0] ?? err(computeErrors.stopped())) : answer;
      });
    this.#tested.set(key, test);
    const verdict = await test;
    if (!verdict.ok && verdict.error.code !== 'compute.backend_unavailable') this.#tested.delete(key);
    return verdict;
  }

  /** The caller's patience and wishes, around what happens before a batch stands in line. */
  async #bounded<T>(
    deadlineMs: number,
    signal: AbortSignal | undefined,
    work: () => Promise<Result<T, ComputeError>>,
  ): Promise<Result<T, ComputeError>> {
    if (this.#stopping !== undefined) return err(computeErrors.stopped());
    if (signal?.aborted === true) return err(computeErrors.aborted());
    const { promise, resolve } = Promise.withResolvers<Result<T, ComputeError>>();
    const onAbort = () => resolve(err(computeErrors.aborted()));
    signal?.addEventListener('abort', onAbort, { once: true });
    const timer = setTimeout(() => resolve(err(computeErrors.deadline(deadlineMs))), deadlineMs);
    try {
      return await Promise.race([work(), promise]);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    }
  }
}
