import { setTimeout as delay } from 'node:timers/promises';
import { tensorBytes, type NamedTensors, type Tensor } from '#shared/model/tensor.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import { assertNever, err, ok, type Result } from '#shared/result.ts';
import { computeErrors } from '../errors.ts';
import { fitsDims, readModel } from '../models.ts';
import type { ComputeError, ComputeStatus, RunOutput, TensorSpec } from '../port.ts';
import type { ResultMessage, WireFailure } from '../wire/messages.ts';
import { Batch, type BatchRequest, type Shard } from './batch.ts';
import { ExecutorProcess, type EndReason, type ExecutorEnd, type ExecutorSettings } from './executor-process.ts';
import { restartDelayMs } from './restart-delay.ts';
import { SessionTable, type Session } from './sessions.ts';

export interface SlotSettings extends ExecutorSettings {
  readonly sessionsBytes: number;
  readonly idleMs: number;
  /** Told of every death that was not wished for. */
  readonly onDeath?: (end: ExecutorEnd) => void;
}

/** Ends that were nobody's wish: they are blamed on a shard and answered by a pause. */
const DEATHS: ReadonlySet<EndReason> = new Set(['crash', 'memory', 'garbage', 'start-failed']);
/** Ends after which nothing has to be started again. */
const WISHED: ReadonlySet<EndReason> = new Set(['release', 'idle', 'stop']);

/**
 * The executor of one placement through all its lives. Batches wait in line; their shards are sent ahead into a small
 * window, so that the executor never waits for us, and come back in order. When it dies, each shard that was in its hands
 * runs once more, alone: that finds the one that kills it, and costs the others nothing.
 */
export class ExecutorSlot {
  readonly settings: SlotSettings;
  readonly #sessions: SessionTable;
  /** Batches not settled yet, in order. The clock of the first one runs. */
  readonly #queue: Batch[] = [];
  /** Sent and not answered, in order. */
  #inFlight: Shard[] = [];
  #bytesInFlight = 0;
  #process: ExecutorProcess | undefined;
  #loading: Batch | undefined;
  #deathsInARow = 0;
  #failedStarts = 0;
  #restarts = 0;
  #backOff: AbortController | undefined;
  #idle: NodeJS.Timeout | undefined;
  #pumping = false;
  #pumpAgain = false;
  #stopped = false;
  #starting = false;

  constructor(settings: SlotSettings) {
    this.settings = settings;
    this.#sessions = new SessionTable(settings.sessionsBytes);
  }

  async run(request: BatchRequest, signal?: AbortSignal): Promise<Result<RunOutput, ComputeError>> {
    if (this.#stopped) return err(computeErrors.stopped());
    if (this.#queue.length >= LIMITS.compute.batchesQueued) {
      return err(computeErrors.overloaded(this.settings.placement, this.#queue.length));
    }
    const batch = new Batch(request);
    if (batch.pending.length === 0 && !batch.loadsOnly) batch.finish();
    const onAbort = () => this.#abort(batch);
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#queue.push(batch);
    this.#advance();
    try {
      return await batch.done;
    } finally {
      signal?.removeEventListener('abort', onAbort);
      this.#advance();
    }
  }

  /** Ends everything at once; resolves when the process is gone. The next run starts a new one. */
  async release(reason: 'release' | 'stop'): Promise<void> {
    if (reason === 'stop') this.#stopped = true;
    const error = reason === 'stop' ? computeErrors.stopped() : computeErrors.released(this.settings.placement);
    for (const batch of this.#queue.splice(0)) batch.endWith(error);
    this.#deathsInARow = 0;
    this.#failedStarts = 0;
    this.#backOff?.abort();
    const process = this.#process;
    process?.kill(reason);
    await process?.ended;
  }

  status(): ComputeStatus['executors'][number] {
    return {
      placement: this.settings.placement,
      pid: this.#process?.pid,
      state: this.#state(),
      loaded: this.#sessions.digests(),
      residentBytes: this.#process?.residentBytes,
      restarts: this.#restarts,
    };
  }

  #state(): ComputeStatus['executors'][number]['state'] {
    if (this.#backOff !== undefined) return 'backing-off';
    if (this.#process === undefined || this.#process.gone) return 'stopped';
    if (this.#process.pid === undefined || this.#starting) return 'starting';
    return this.#queue.length > 0 ? 'busy' : 'idle';
  }

  /** Forgets settled batches, keeps the first one's clock running, and does what can be done. */
  #advance(): void {
    for (let i = this.#queue.length - 1; i >= 0; i -= 1) if (this.#queue[i]?.ended === true) this.#queue.splice(i, 1);
    const head = this.#queue[0];
    head?.startClock(() => this.#expire(head));
    clearTimeout(this.#idle);
    if (head === undefined) this.#idle = setTimeout(() => this.#process?.kill('idle'), this.settings.idleMs).unref();
    void this.#pump();
  }

  /** One loop at a time. A call that comes while it is about to end is not lost: it goes round once more. */
  async #pump(): Promise<void> {
    this.#pumpAgain = true;
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      while (this.#pumpAgain) {
        this.#pumpAgain = false;
        while (await this.#step());
      }
    } finally {
      this.#pumping = false;
    }
  }

  /** One thing at a time; false when there is nothing to do before something happens. */
  async #step(): Promise<boolean> {
    const batch = this.#queue.find(({ ended, loadsOnly, pending }) => !ended && (loadsOnly || pending.length > 0));
    if (batch === undefined) return false;
    const process = this.#process;
    if (process === undefined) return await this.#start(batch);
    if (process.gone) {
      await process.ended;
      return true;
    }
    const session = this.#sessions.get(batch.request.info.digest);
    if (session === undefined) return await this.#load(process, batch);
    if (batch.loadsOnly) {
      batch.finish();
      return true;
    }
    return this.#send(process, session, batch);
  }

  async #start(batch: Batch): Promise<boolean> {
    await this.#waitBackOff();
    // The wait may have ended with the batch: then there may be no one to start for.
    if (batch.ended || this.#stopped) return true;
    const process = ExecutorProcess.start(this.settings);
    if (process === undefined) {
      batch.endWith(computeErrors.unavailable(this.settings.placement, 'a system tool is missing'));
      return true;
    }
    this.#process = process;
    this.#starting = true;
    void process.ended.then((end) => this.#onEnd(process, end));
    if (await process.ready) this.#failedStarts = 0;
    else await process.ended;
    this.#starting = false;
    return true;
  }

  async #waitBackOff(): Promise<void> {
    const ms = restartDelayMs(this.#deathsInARow);
    if (ms === 0) return;
    this.#backOff = new AbortController();
    await delay(ms, undefined, { signal: this.#backOff.signal }).catch(() => undefined);
    this.#backOff = undefined;
  }

  async #load(process: ExecutorProcess, batch: Batch): Promise<boolean> {
    this.#loading = batch;
    try {
      const session = await this.#openSession(process, batch);
      if (session !== undefined && !session.ok) batch.endWith(session.error);
    } finally {
      this.#loading = undefined;
    }
    this.#advance();
    return true;
  }

  /** undefined when the executor died over it; the next step tries again, or the batch has ended. */
  async #openSession(process: ExecutorProcess, batch: Batch): Promise<Result<Session, ComputeError> | undefined> {
    const { info } = batch.request;
    if (info.peakBytes > this.settings.sessionsBytes) {
      return err(computeErrors.modelTooLarge(info.peakBytes, this.settings.sessionsBytes));
    }
    const bytes = batch.request.bytes === undefined ? await this.#readUnlessEnded(batch) : ok(batch.request.bytes);
    if (bytes?.ok !== true) return bytes;
    for (const { slot } of this.#sessions.makeRoom(info.peakBytes)) process.unload(slot);
    const slot = this.#sessions.nextSlot();
    const loaded = await process.load(slot, bytes.value);
    if (loaded === 'gone') {
      await process.ended;
      return undefined;
    }
    if ('code' in loaded) return err(this.#failure(loaded, batch));
    const inputs = orderOf(loaded.inputs, info.inputs);
    const outputs = orderOf(loaded.outputs, info.outputs);
    if (inputs === undefined || outputs === undefined) {
      return err(computeErrors.invalidModel('the runtime sees other inputs or outputs than admission did'));
    }
    const session = { slot, digest: info.digest, peakBytes: info.peakBytes, inputs, outputs };
    this.#sessions.add(session);
    return ok(session);
  }

  /** A source that never answers holds up its own batch, until the deadline, and no other. */
  async #readUnlessEnded(batch: Batch): Promise<Result<Uint8Array, ComputeError> | undefined> {
    return await Promise.race([readModel(batch.request.source), batch.done.then(() => undefined)]);
  }

  #send(process: ExecutorProcess, session: Session, batch: Batch): boolean {
    const shard = batch.pending[0];
    if (shard === undefined) return false;
    const bytes = tensorBytes(shard.inputs);
    if (!this.#hasRoom(shard, bytes)) return false;
    batch.pending.shift();
    this.#inFlight.push(shard);
    this.#bytesInFlight += bytes;
    const { maxOutputBytes } = batch.request;
    const inputs = session.inputs.map((name) => shard.inputs[name]).filter((tensor) => tensor !== undefined);
    process.run({ slot: session.slot, inputs, maxOutputBytes }, session.outputs.length, (result) =>
      this.#onResult(shard, session, result),
    );
    return true;
  }

  /** A suspect runs alone, so that whatever happens is its own doing. */
  #hasRoom(shard: Shard, bytes: number): boolean {
    if (this.#inFlight.length === 0) return true;
    if (shard.suspected || this.#inFlight[0]?.suspected === true) return false;
    const { shardsInFlight, bytesInFlight } = LIMITS.compute;
    return this.#inFlight.length < shardsInFlight && this.#bytesInFlight + bytes <= bytesInFlight;
  }

  #onResult(shard: Shard, session: Session, { outcome, computeMicros }: ResultMessage): void {
    this.#inFlight.shift();
    this.#bytesInFlight -= tensorBytes(shard.inputs);
    this.#deathsInARow = 0;
    const result =
      'code' in outcome
        ? err(this.#failure(outcome, shard.batch))
        : namedOutputs(outcome, session.outputs, shard.batch.request);
    shard.batch.settle(shard, result, computeMicros);
    if (shard.batch.ended) this.#advance();
    else void this.#pump();
  }

  #failure({ code, reason }: WireFailure, batch: Batch): ComputeError {
    switch (code) {
      case 'compute.model_invalid':
        return computeErrors.invalidModel(reason);
      case 'compute.backend_unavailable':
        return computeErrors.backendUnavailable(this.settings.placement, 'This device cannot run this model.', {
          reason,
        });
      case 'compute.memory':
        return computeErrors.memory(this.settings.memoryBytes);
      case 'compute.run_failed':
        return computeErrors.runFailed(reason);
      case 'compute.output_too_large':
        return computeErrors.outputTooLarge(batch.request.maxOutputBytes);
      case 'compute.input_invalid':
        return computeErrors.invalidInput('the runtime refuses it', { reason });
      default:
        return assertNever(code);
    }
  }

  #expire(batch: Batch): void {
    batch.endWith(computeErrors.deadline(batch.request.deadlineMs));
    this.#killFor(batch, 'deadline');
    this.#advance();
  }

  /** What runs may end by itself within a moment, which costs less than a new executor. */
  #abort(batch: Batch): void {
    batch.endWith(computeErrors.aborted());
    this.#advance();
    setTimeout(() => this.#killFor(batch, 'abort'), LIMITS.compute.abortGraceMs).unref();
  }

  #killFor(batch: Batch, reason: EndReason): void {
    const runs = this.#inFlight.some((shard) => shard.batch === batch);
    if (runs || this.#loading === batch) this.#process?.kill(reason);
  }

  #onEnd(process: ExecutorProcess, end: ExecutorEnd): void {
    if (this.#process !== process) return;
    this.#process = undefined;
    this.#sessions.clear();
    if (!WISHED.has(end.reason)) this.#restarts += 1;
    const lost = this.#inFlight;
    this.#inFlight = [];
    this.#bytesInFlight = 0;
    if (DEATHS.has(end.reason)) this.#onDeath(end, lost);
    // From the last to the first, each to the front: their order is what it was.
    for (const shard of lost.toReversed()) shard.batch.takeBack(shard);
    this.#advance();
  }

  #onDeath(end: ExecutorEnd, lost: readonly Shard[]): void {
    this.#deathsInARow += 1;
    this.settings.onDeath?.(end);
    if (this.#starting) this.#onFailedStart(end);
    else if (lost[0] !== undefined) this.#blame(lost[0], lost, end);
    else if (this.#loading !== undefined) this.#blameLoad(this.#loading, end);
  }

  #onFailedStart(end: ExecutorEnd): void {
    this.#failedStarts += 1;
    if (this.#failedStarts < LIMITS.compute.startAttempts) return;
    this.#failedStarts = 0;
    const error = computeErrors.unavailable(this.settings.placement, causeOf(end));
    for (const batch of this.#queue) batch.endWith(error);
  }

  /** A shard that ran alone did it. Otherwise any of those in flight may have: each runs once more, alone. */
  #blame(first: Shard, lost: readonly Shard[], end: ExecutorEnd): void {
    const { batch } = first;
    const { placement, memoryBytes } = this.settings;
    batch.crashes += 1;
    if (first.suspected) {
      const error =
        end.reason === 'memory' ? computeErrors.memory(memoryBytes) : computeErrors.crashed(placement, causeOf(end));
      batch.settle(first, err(error), 0);
    }
    for (const shard of lost) shard.suspected = true;
    if (batch.crashes > LIMITS.compute.crashesPerBatch) batch.endWith(computeErrors.crashed(placement, causeOf(end)));
  }

  #blameLoad(batch: Batch, end: ExecutorEnd): void {
    const { placement, memoryBytes } = this.settings;
    batch.loadCrashes += 1;
    if (end.reason === 'memory') batch.endWith(computeErrors.memory(memoryBytes));
    else if (batch.loadCrashes > 1) batch.endWith(computeErrors.loadCrashed(placement, causeOf(end)));
  }
}

function causeOf({ reason, code, signal }: ExecutorEnd): string {
  return reason === 'crash' ? `ended with ${signal ?? code ?? 'nothing'}` : reason;
}

/** The runtime's own order of the names; undefined when it sees other names or types than admission did. */
function orderOf(seen: readonly TensorSpec[], admitted: readonly TensorSpec[]): readonly string[] | undefined {
  const same = seen.every(({ name, dtype }) => admitted.some((spec) => spec.name === name && spec.dtype === dtype));
  return same && seen.length === admitted.length ? seen.map(({ name }) => name) : undefined;
}

/** The executor's word is not taken: what it sends must be what the model declares. */
function namedOutputs(
  tensors: readonly Tensor[],
  order: readonly string[],
  { info, maxOutputBytes }: BatchRequest,
): Result<NamedTensors, ComputeError> {
  const named = Object.fromEntries(tensors.map((tensor, i) => [order[i] ?? '', tensor]));
  const total = tensorBytes(named);
  if (total > maxOutputBytes) return err(computeErrors.outputTooLarge(maxOutputBytes, total));
  const asDeclared =
    tensors.length === order.length &&
    info.outputs.every(({ name, dtype, dims }) => {
      const tensor = named[name];
      return tensor?.dtype === dtype && fitsDims(tensor.dims, dims);
    });
  return asDeclared ? ok(named) : err(computeErrors.runFailed('its outputs are not the ones the model declares'));
}
