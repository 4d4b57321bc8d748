import type { ModelSource } from '#core/compute/port.ts';
import type { LedgerError } from '#core/ledger/errors.ts';
import type { JobRow } from '#core/ledger/requester-jobs.ts';
import type { NamedTensors } from '#shared/model/tensor.ts';
import { isRuled, type BoardShard } from './board.ts';
import type { RequesterContext } from './context.ts';
import { Delivery } from './delivery.ts';
import { Granter } from './granting.ts';
import { Intake } from './intake.ts';
import type { Job } from './job.ts';
import { JobCore } from './job-core.ts';
import { Leases } from './leases.ts';
import { Payments } from './payments.ts';
import { Referee, type RefereeResults } from './referee.ts';
import { ruleByReferee, Step } from './ruling.ts';

/** The parts that live as long as the ledger works; made anew from it after it failed. */
export interface JobParts {
  readonly core: JobCore;
  readonly granter: Granter;
  readonly intake: Intake;
  readonly referee: Referee;
  readonly delivery: Delivery;
  readonly leases: Leases;
  readonly payments: Payments;
  readonly over: AbortController;
}

/** Builds the parts from what the ledger has. */
export function assembleJob(
  context: RequesterContext,
  row: JobRow,
  job: Job,
  model: ModelSource,
  hooks: {
    readonly stopping: AbortSignal;
    readonly halted: (error: LedgerError) => void;
    /** After each step that was stored. */
    readonly stored: () => void;
    readonly ownerFailed: (fault: unknown) => void;
  },
): JobParts {
  const core = new JobCore(context, row);
  const over = new AbortController();
  const signal = AbortSignal.any([over.signal, hooks.stopping]);
  const inputs = async (index: number): Promise<NamedTensors | undefined> => job.source.inputs(index);
  const referee = new Referee(context, { model, inputs, signal, onRuled: (results) => takeRulings(core, results) });
  const toReferee = (shard: BoardShard) => {
    if (shard.refereed) return;
    shard.refereed = true;
    core.board.waiting.delete(shard.index);
    core.board.queued.delete(shard.index);
    referee.add(shard.index);
  };
  const delivery = new Delivery({
    board: core.board,
    job,
    nextDelivery: core.startDelivery,
    load: (shard) => context.ledger.outputs(core.jobId, shard.index, shard.source ?? ''),
    delivered: (shards, next) => noteDelivered(core, shards, next),
    failureOf: (shard) => core.failureOf(shard),
    ownerFailed: hooks.ownerFailed,
  });
  const payments = new Payments(core, signal);
  const leases = new Leases(core, toReferee);
  core.onStored = (step) => {
    payments.schedule(step.ruled.filter(({ accepted }) => accepted).map(({ answer }) => answer.peer));
    for (const { index, to } of step.shards) {
      if (to === 'settled' && index < delivery.next) core.board.shards.delete(index);
    }
    hooks.stored();
    delivery.poke();
  };
  core.onHalted = hooks.halted;
  const granter = new Granter(core, inputs);
  return { core, granter, intake: new Intake(core, toReferee), referee, delivery, leases, payments, over };
}

function takeRulings(core: JobCore, results: RefereeResults): void {
  if (core.halted !== undefined) return;
  const step = new Step();
  for (const [index, result] of results) {
    const shard = core.board.shards.get(index);
    if (shard === undefined || isRuled(shard)) continue;
    core.hydrate(shard);
    if (result.ok) ruleByReferee(step, shard, result.value, core.terms.tolerance);
    else step.fail(shard, result.error.code);
  }
  core.commit(step);
}

/** Notes how far the owner has got and forgets what is settled by then. */
function noteDelivered(core: JobCore, shards: readonly BoardShard[], nextDelivery: number): boolean {
  const stored = core.commit(new Step(), { nextDelivery, dropOutputs: shards.map(({ index }) => index) });
  if (!stored) return false;
  for (const shard of shards) {
    if (shard.holders.size === 0) shard.outputs = undefined;
    if (shard.state === 'settled' || shard.state === 'failed') core.board.remove(shard);
  }
  return true;
}
