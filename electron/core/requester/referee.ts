import type { ComputeError, ModelSource } from '#core/compute/port.ts';
import { tensorBytes, type NamedTensors } from '#shared/model/tensor.ts';
import type { Result } from '#shared/result.ts';
import { err } from '#shared/result.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import { MiB } from '#shared/units.ts';
import type { RequesterContext } from './context.ts';

const BATCH_BYTES = 8 * MiB;
const BATCH_SHARDS = 64;
const DEADLINE_MS = 10 * 60_000;
const RETRIES = 5;
const RETRY_MS = 500;

/** Trouble with the executor, not with the shard: worth another try. */
const PASSING = new Set([
  'compute.executor_crashed',
  'compute.executor_unavailable',
  'compute.killed',
  'compute.backend_unavailable',
]);

/** Outputs by shard, or why there are none. */
export type RefereeResults = ReadonlyMap<number, Result<NamedTensors, ComputeError>>;

/** Computes shards on this machine, to decide what peers disagree on. One batch at a time, in order. */
export class Referee {
  private readonly context: RequesterContext;
  private readonly model: ModelSource;
  private readonly inputs: (index: number) => Promise<NamedTensors | undefined>;
  private readonly onRuled: (results: RefereeResults) => void;
  private readonly queue: number[] = [];
  private readonly signal: AbortSignal;
  private working: Promise<void> | undefined;

  constructor(
    context: RequesterContext,
    parts: {
      readonly model: ModelSource;
      readonly inputs: (index: number) => Promise<NamedTensors | undefined>;
      readonly onRuled: (results: RefereeResults) => void;
      readonly signal: AbortSignal;
    },
  ) {
    this.context = context;
    this.model = parts.model;
    this.inputs = parts.inputs;
    this.onRuled = parts.onRuled;
    this.signal = parts.signal;
  }

  get queued(): number {
    return this.queue.length;
  }

  add(index: number): void {
    this.queue.push(index);
    this.working ??= this.work();
  }

  async stopped(): Promise<void> {
    await this.working;
  }

  private async work(): Promise<void> {
    while (this.queue.length > 0 && !this.signal.aborted) {
      const batch = await this.nextBatch();
      const results = await this.compute(batch);
      if (!this.signal.aborted) this.onRuled(results);
    }
    this.working = undefined;
  }

  private async nextBatch(): Promise<Map<number, NamedTensors>> {
    const batch = new Map<number, NamedTensors>();
    let bytes = 0;
    while (batch.size < BATCH_SHARDS && bytes < BATCH_BYTES) {
      const index = this.queue.shift();
      if (index === undefined) break;
      const inputs = await this.inputs(index);
      if (inputs === undefined) continue;
      batch.set(index, inputs);
      bytes += tensorBytes(inputs);
    }
    return batch;
  }

  private async compute(batch: Map<number, NamedTensors>): Promise<Map<number, Result<NamedTensors, ComputeError>>> {
    const results = new Map<number, Result<NamedTensors, ComputeError>>();
    let left = [...batch];
    for (let attempt = 0; left.length > 0; attempt += 1) {
      const run = await this.context.compute.run(
        this.model,
        left.map(([, inputs]) => inputs),
        {
          placement: this.context.refereePlacement,
          deadlineMs: DEADLINE_MS,
          signal: this.signal,
          maxOutputBytes: LIMITS.shard.outputBytes,
        },
      );
      const again: typeof left = [];
      for (const [at, entry] of left.entries()) {
        const one: Result<NamedTensors, ComputeError> = run.ok ? (run.value.results[at] ?? err(MISSING)) : run;
        if (!one.ok && PASSING.has(one.error.code) && attempt < RETRIES) again.push(entry);
        else results.set(entry[0], one);
      }
      if (again.length > 0) await this.context.clock.sleep(RETRY_MS * 2 ** attempt, this.signal);
      if (this.signal.aborted) break;
      left = again;
    }
    return results;
  }
}

const MISSING: ComputeError = {
  code: 'compute.run_failed',
  message: 'The executor answered fewer shards than it was given.',
};
