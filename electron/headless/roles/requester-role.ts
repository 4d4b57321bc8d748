import path from 'node:path';
import { z } from 'zod';
import { startBuyer } from '#core/buyer.ts';
import { practicePurseFromFile } from '#core/key-file.ts';
import { openLogFile } from '#core/obs/logger.ts';
import { practiceWorkload } from '#core/requester/practice/workload.ts';
import type { JobHandle } from '#core/requester/job.ts';
import { networkFileSchema } from '#shared/model/network-file.ts';
import type { RequesterEvent } from '#shared/model/events.ts';
import { ok } from '#shared/result.ts';
import { wei } from '#shared/units.ts';
import { practiceFaucet } from '../commands/parts/faucet.ts';
import { executorFiles, practiceModelFile } from '../commands/parts/layout.ts';
import { EMPTY_TALLY, tally } from '../practice/tally.ts';
import type { EventSink, StartRole } from './serve-role.ts';

const configSchema = z.object({
  directory: z.string(),
  logs: z.string(),
  networkFile: networkFileSchema,
  /** The same after a restart: the job goes on where it was. */
  jobId: z.string(),
  shards: z.number().int().positive().optional(),
});

const PRICE_WEI = wei(1_000_000_000_000_000n);
const BUDGET_WEI = wei(500n * 10n ** 18n);
const SEED = 7;
/** Two honest machines with different instruction sets differ by 1e-7; a lie that matters is far above this. */
const TOLERANCE = 1e-5;
const LABELS_KEPT = 4096;

/** The practice network's requester: draws digits, has them classified, checks every answer, pays for the right ones. */
export const startRequesterRole: StartRole = async (raw, emit) => {
  const config = configSchema.parse(raw);
  const workload = await practiceWorkload({ modelPath: practiceModelFile(), seed: SEED });
  if (!workload.ok) return workload;
  const wallet = await practicePurseFromFile(path.join(config.directory, 'purse.key'));
  if (!wallet.ok) return wallet;
  const log = openLogFile({ directory: config.logs, name: 'practice-requester', level: 'info' });
  const fill = practiceFaucet(config.networkFile, wallet.value.address);
  await fill();
  let counted = EMPTY_TALLY;
  const started = await startBuyer({
    directory: config.directory,
    networkFile: config.networkFile,
    wallet: wallet.value,
    executor: executorFiles(),
    threads: 1,
    logger: log.logger,
    local: true,
    onEvent: (event: RequesterEvent) => {
      counted = tally(counted, event);
      log.logger.debug({ event }, event.type);
      emit(event);
      // Play money never runs out.
      if (event.type === 'job.paused') void fill();
    },
  });
  if (!started.ok) return started;
  const buyer = started.value;
  const { model, shardAt, check } = workload.value;
  const labels = labelsOf(shardAt);
  const submitted = await buyer.requester.submit({
    jobId: config.jobId,
    model,
    source: {
      ...(config.shards === undefined ? {} : { count: config.shards }),
      inputs: (index) => {
        const shard = shardAt(index);
        labels.keep(index, shard.labels);
        return shard.inputs;
      },
    },
    priceWei: PRICE_WEI,
    budgetWei: BUDGET_WEI,
    checks: 'full',
    tolerance: TOLERANCE,
    onOutput: (index, outputs) => {
      const score = check(outputs, labels.of(index));
      emit({ type: 'practice.scored', shard: index, ...score } as { type: string });
    },
  });
  if (!submitted.ok) {
    await buyer.stop();
    return submitted;
  }
  const job = submitted.value;
  void announceEnd(job, emit);
  return ok({
    ready: { peerId: buyer.peer.network.peerId, address: buyer.peer.chain.address, jobId: job.jobId },
    ask: async (what) => {
      if (what !== 'finish') return undefined;
      job.finishUp();
      const done = await job.done;
      const account = await buyer.account(job.jobId);
      if (!account.ok) return { error: account.error };
      return {
        ...(done.ok ? done.value : { error: done.error }),
        paidOffChainWei: account.value.promisedWei.toString(),
        paidOnChainWei: account.value.paidOnChainWei.toString(),
        bytes: counted.bytes,
      };
    },
    stop: async () => {
      await buyer.stop();
      await log.close();
    },
  });
};

async function announceEnd(job: JobHandle, emit: EventSink): Promise<void> {
  const done = await job.done;
  if (!done.ok) emit({ type: 'practice.failed', error: done.error } as { type: string });
}

/** Labels of the shards in the air: drawing a shard twice just for its labels would cost as much as computing it. */
function labelsOf(shardAt: (index: number) => { readonly labels: Uint8Array }) {
  const kept = new Map<number, Uint8Array>();
  return {
    keep(index: number, labels: Uint8Array): void {
      kept.set(index, labels);
      const [oldest] = kept.keys();
      if (kept.size > LABELS_KEPT && oldest !== undefined) kept.delete(oldest);
    },
    of: (index: number): Uint8Array => kept.get(index) ?? shardAt(index).labels,
  };
}
