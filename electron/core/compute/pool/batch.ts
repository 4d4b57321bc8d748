import { err, type Result } from '#shared/result.ts';
import type { NamedTensors } from '#shared/model/tensor.ts';
import type { ComputeError, ModelInfo, ModelSource, RunOutput } from '../port.ts';

export interface Shard {
  readonly batch: Batch;
  readonly index: number;
  readonly inputs: NamedTensors;
  /** It was in the hands of an executor that died: it runs once more, alone. */
  suspected: boolean;
}

export interface BatchRequest {
  readonly source: ModelSource;
  readonly info: ModelInfo;
  /** The model, when admission has just read it. */
  readonly bytes?: Uint8Array | undefined;
  /** A shard that is already refused is never sent. Empty: load the model and no more. */
  readonly shards: readonly Result<NamedTensors, ComputeError>[];
  readonly deadlineMs: number;
  readonly maxOutputBytes: number;
}

/** Settles once: with an error when it ended before any shard was answered, else with one result per shard. */
export class Batch {
  readonly request: BatchRequest;
  readonly done: Promise<Result<RunOutput, ComputeError>>;
  /** In order; those that come back from a dead executor go to the front. */
  readonly pending: Shard[] = [];
  crashes = 0;
  loadCrashes = 0;
  readonly #results: (Result<NamedTensors, ComputeError> | undefined)[];
  #answered = 0;
  #open: number;
  #computeMicros = 0;
  #ended = false;
  #timer: NodeJS.Timeout | undefined;
  #resolve: (output: Result<RunOutput, ComputeError>) => void = () => undefined;

  constructor(request: BatchRequest) {
    this.request = request;
    this.done = new Promise((resolve) => (this.#resolve = resolve));
    this.#results = request.shards.map((shard) => (shard.ok ? undefined : shard));
    for (const [index, shard] of request.shards.entries()) {
      if (shard.ok) this.pending.push({ batch: this, index, inputs: shard.value, suspected: false });
    }
    this.#open = this.pending.length;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** A batch without shards is done when its model is loaded. */
  get loadsOnly(): boolean {
    return this.request.shards.length === 0;
  }

  /** The deadline runs from here. No effect the second time. */
  startClock(expire: () => void): void {
    this.#timer ??= setTimeout(expire, this.request.deadlineMs);
  }

  settle(shard: Shard, result: Result<NamedTensors, ComputeError>, computeMicros: number): void {
    if (this.#ended || this.#results[shard.index] !== undefined) return;
    this.#results[shard.index] = result;
    this.#computeMicros += computeMicros;
    this.#answered += 1;
    this.#open -= 1;
    if (this.#open === 0) this.finish();
  }

  /** A shard whose executor died goes to the front of the line, unless its fate is known already. */
  takeBack(shard: Shard): void {
    if (!this.#ended && this.#results[shard.index] === undefined) this.pending.unshift(shard);
  }

  /** Every shard is answered, or there was none to run. */
  finish(): void {
    const results = this.#results.filter((result) => result !== undefined);
    this.#end({ ok: true, value: { results, computeMs: this.#computeMicros / 1000 } });
  }

  /** Whatever is not answered yet ends in `error`. */
  endWith(error: ComputeError): void {
    if (this.#answered === 0) return this.#end(err(error));
    for (let i = 0; i < this.#results.length; i += 1) this.#results[i] ??= err(error);
    this.finish();
  }

  #end(output: Result<RunOutput, ComputeError>): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#timer);
    this.pending.length = 0;
    this.#resolve(output);
  }
}
