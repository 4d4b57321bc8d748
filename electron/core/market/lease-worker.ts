import type { ComputeError, ModelSource, RunOutput } from '#core/compute/port.ts';
import type { LedgerError } from '#core/ledger/errors.ts';
import type { LeaseRow, StoredResult } from '#core/ledger/provider-leases.ts';
import { tensorBytes, type NamedTensors } from '#shared/model/tensor.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import type { LeaseStatement, TensorLayout } from '#shared/protocol/work-messages.ts';
import { layoutKey, layoutOf, payloadOf } from '#shared/protocol/work-tensors.ts';
import type { Result } from '#shared/result.ts';
import { MiB } from '#shared/units.ts';
import type { ProviderContext } from './context.ts';
import { blend } from './policy/lease-sizing.ts';
import { digestTensors } from './wire/digest.ts';

export interface HeldLease {
  readonly row: LeaseRow;
  readonly statement: LeaseStatement;
  readonly inputs: readonly NamedTensors[];
}

interface Batch {
  readonly lease: HeldLease;
  /** Positions within the lease. */
  readonly from: number;
  readonly to: number;
}

/** A batch in the executor's hands or in line for them. */
interface Started {
  readonly batch: Batch;
  /** Undefined where its lease could not be noted as running. */
  readonly running: Promise<Result<RunOutput, ComputeError> | undefined>;
}

/** Inputs handed to an executor at once: bounds the copies in flight, and lets the next batch travel while one runs. */
const BATCH_BYTES = 8 * MiB;
/** One that runs and one that stands in line behind it. */
const BATCHES_STARTED = 2;

/**
 * Runs leases one after the other and keeps the executor fed: the next batch stands in line before one ends, so the
 * executor works on while results are hashed, stored and sent. Results are in the ledger before `onComputed` hears of
 * them.
 */
export class LeaseWorker {
  private readonly context: ProviderContext;
  private readonly model: ModelSource;
  private readonly onComputed: (lease: HeldLease, results: readonly StoredResult[]) => void;
  private readonly onLedgerError: (error: LedgerError) => void;
  private readonly batches: Batch[] = [];
  private readonly started: Started[] = [];
  private readonly results = new Map<string, StoredResult[]>();
  private readonly stopping = new AbortController();
  private working: Promise<void> | undefined;
  private shards = 0;
  private leases = 0;
  private failed = false;
  /** Milliseconds a shard, measured. */
  shardMs: number | undefined;

  constructor(
    context: ProviderContext,
    model: ModelSource,
    handlers: {
      readonly onComputed: (lease: HeldLease, results: readonly StoredResult[]) => void;
      readonly onLedgerError: (error: LedgerError) => void;
    },
  ) {
    this.context = context;
    this.model = model;
    this.onComputed = handlers.onComputed;
    this.onLedgerError = handlers.onLedgerError;
    this.shardMs = context.ledger.shardMs(model.digest, context.placement.backend);
  }

  /** Shards and leases that are not computed yet. */
  get leasedShards(): number {
    return this.shards;
  }

  get leasesHeld(): number {
    return this.leases;
  }

  add(lease: HeldLease): void {
    this.shards += lease.inputs.length;
    this.leases += 1;
    this.batches.push(...batchesOf(lease));
    this.feed();
    this.working ??= this.work();
  }

  /** Gives back leases not begun and finishes those begun; answers the leases given back. */
  async drain(): Promise<readonly LeaseRow[]> {
    const begun = new Set(this.results.keys());
    const untouched = this.batches.filter(({ lease }) => !begun.has(lease.row.leaseId));
    const rows = new Map(untouched.map(({ lease }) => [lease.row.leaseId, lease.row]));
    for (let at = this.batches.length - 1; at >= 0; at -= 1) {
      const batch = this.batches[at];
      if (batch !== undefined && rows.has(batch.lease.row.leaseId)) this.batches.splice(at, 1);
    }
    await this.working;
    return [...rows.values()];
  }

  /** Ends what runs, now. */
  async abort(): Promise<void> {
    this.batches.length = 0;
    this.stopping.abort();
    await this.working;
  }

  private feed(): void {
    while (this.started.length < BATCHES_STARTED) {
      const batch = this.batches.shift();
      if (batch === undefined) return;
      this.started.push({ batch, running: this.start(batch) });
    }
  }

  private async work(): Promise<void> {
    for (let head = this.started[0]; head !== undefined; head = this.started[0]) {
      const output = await head.running;
      this.started.shift();
      if (output === undefined || this.stopping.signal.aborted) break;
      this.feed();
      this.take(head.batch, output);
    }
    const left = this.started.splice(0);
    // Not without need: a lease added meanwhile would find nobody at work.
    if (left.length > 0) await Promise.all(left.map(({ running }) => running));
    this.working = undefined;
  }

  /** Undefined where the ledger could not note that the lease runs. */
  private async start({ lease, from, to }: Batch): Promise<Result<RunOutput, ComputeError> | undefined> {
    const { compute, placement, clock, ledger } = this.context;
    if (from === 0) {
      const moved = ledger.leases.move([lease.row], 'running');
      if (!moved.ok) {
        this.fail(moved.error);
        return undefined;
      }
      this.results.set(lease.row.leaseId, []);
    }
    if (this.failed) return undefined;
    return compute.run(this.model, lease.inputs.slice(from, to), {
      placement,
      deadlineMs: Math.max(1, lease.row.expiresAt - clock.now()),
      signal: this.stopping.signal,
      maxOutputBytes: LIMITS.shard.outputBytes,
    });
  }

  private take({ lease, from, to }: Batch, output: Result<RunOutput, ComputeError>): void {
    const { leaseId } = lease.row;
    const results = this.results.get(leaseId);
    if (results === undefined || this.failed) return;
    const layouts = new Map<string, TensorLayout>();
    const microsEach = output.ok ? Math.round((output.value.computeMs * 1000) / (to - from)) : 0;
    for (let at = from; at < to; at += 1) {
      const index = lease.statement.shards[at]?.index ?? 0;
      const one: Result<NamedTensors, ComputeError> | undefined = output.ok ? output.value.results[at - from] : output;
      results.push(one?.ok === true ? success(index, one.value, microsEach, layouts) : failure(index, one?.error.code));
    }
    if (output.ok) this.shardMs = blend(this.shardMs, output.value.computeMs / (to - from));
    if (to === lease.inputs.length) this.finish(lease, results);
  }

  private finish(lease: HeldLease, results: readonly StoredResult[]): void {
    const { ledger, placement } = this.context;
    const { leaseId, requester } = lease.row;
    this.results.delete(leaseId);
    const stored = ledger.leases.computed(leaseId, results);
    if (!stored.ok) {
      this.fail(stored.error);
      return;
    }
    this.shards -= lease.inputs.length;
    this.leases -= 1;
    for (const { index, code, computeMicros, outputs } of results) {
      if (code === '') {
        const bytes = outputs.reduce((sum, part) => sum + part.byteLength, 0);
        const ms = computeMicros / 1000;
        this.context.emit({
          type: 'shard.computed',
          leaseId,
          peerId: requester,
          shard: index,
          backend: placement.backend,
          ms,
          bytes,
        });
      } else this.context.emit({ type: 'shard.failed', leaseId, peerId: requester, shard: index, code });
    }
    if (this.shardMs !== undefined) ledger.saveShardMs(this.model.digest, placement.backend, this.shardMs);
    this.onComputed(lease, results);
  }

  private fail(error: LedgerError): void {
    this.failed = true;
    this.batches.length = 0;
    this.onLedgerError(error);
  }
}

function batchesOf(lease: HeldLease): Batch[] {
  const batches: Batch[] = [];
  let from = 0;
  let bytes = 0;
  for (const [at, inputs] of lease.inputs.entries()) {
    const size = tensorBytes(inputs);
    if (at > from && bytes + size > BATCH_BYTES) {
      batches.push({ lease, from, to: at });
      from = at;
      bytes = 0;
    }
    bytes += size;
  }
  batches.push({ lease, from, to: lease.inputs.length });
  return batches;
}

/** Shards with outputs of the same shapes share one layout object, so that it is encoded and hashed once. */
function success(
  index: number,
  outputs: NamedTensors,
  computeMicros: number,
  layouts: Map<string, TensorLayout>,
): StoredResult {
  const own = layoutOf(outputs);
  const key = layoutKey(own);
  const layout = layouts.get(key) ?? own;
  layouts.set(key, layout);
  const parts = payloadOf(layout, outputs);
  return { index, code: '', layout, digest: digestTensors(layout, parts), computeMicros, outputs: parts };
}

const NO_TENSORS: TensorLayout = { tensors: [] };

function failure(index: number, code = 'compute.run_failed'): StoredResult {
  return { index, code, layout: NO_TENSORS, digest: undefined, computeMicros: 0, outputs: [] };
}
