// The contributor of the path benchmark: a whole agent as `hearth start` runs it, with one thread for its executor.
import path from 'node:path';
import pino from 'pino';
import { startAgent } from '#core/agent.ts';
import type { Compute } from '#core/compute/port.ts';
import { practicePurseFromFile } from '#core/key-file.ts';
import type { NetworkFile } from '#shared/model/network-file.ts';
import { settingsSchema } from '#shared/model/settings.ts';
import { executorFiles } from '#support/compute-models.ts';
import { practiceFaucet } from '../../../electron/headless/commands/parts/faucet.ts';
import { answerParent, config, valueOf } from './child.ts';

export interface ContributorConfig {
  readonly directory: string;
  readonly networkFile: NetworkFile;
}

/** Works for `forMs` or a little longer, from one voucher to another; 0: goes on working and answers at once. */
export interface TurnRequest {
  readonly forMs: number;
}

export interface Turn {
  /** Verified and paid. */
  readonly shards: number;
  readonly elapsedMs: number;
  /** Of these, the runtime was at work on a shard. */
  readonly computeMs: number;
}

const { directory, networkFile } = config() as ContributorConfig;
const wallet = valueOf(await practicePurseFromFile(path.join(directory, 'purse.key')));

let gate = Promise.withResolvers<void>();
gate.resolve();
/** Between turns no shard is computed, so that the bare loop has the machine to itself. */
const gated = (compute: Compute): Compute => ({
  prepare: (...args) => compute.prepare(...args),
  release: (placement) => compute.release(placement),
  status: () => compute.status(),
  stop: () => compute.stop(),
  run: async (...args) => {
    await gate.promise;
    return compute.run(...args);
  },
});

let onPaid: (wei: bigint) => void = () => {};
let computedMs = 0;
const agent = valueOf(
  await startAgent({
    directory,
    networkFile,
    wallet,
    settings: settingsSchema.parse({ compute: { backend: 'cpu', threads: 1 } }),
    executor: executorFiles,
    logger: pino({ level: 'silent' }),
    local: true,
    findGas: practiceFaucet(networkFile, wallet.address),
    onEvent: (event) => {
      if (event.type === 'shard.computed') computedMs += event.ms;
      if (event.type === 'voucher.received') onPaid(BigInt(event.addedWei));
    },
    wrapCompute: gated,
  }),
);

/** From the first voucher that comes to the first one `forMs` after it; a shard costs 1. */
function work(forMs: number): Promise<Turn> {
  gate.resolve();
  return new Promise((resolve) => {
    let startedAt: number | undefined;
    let shards = 0;
    onPaid = (wei) => {
      const now = performance.now();
      if (startedAt === undefined) {
        startedAt = now;
        computedMs = 0;
        return;
      }
      shards += Number(wei);
      if (now - startedAt < forMs) return;
      onPaid = () => {};
      gate = Promise.withResolvers();
      resolve({ shards, elapsedMs: now - startedAt, computeMs: computedMs });
    };
  });
}

answerParent(
  { peerId: agent.peer.network.peerId },
  async ({ forMs }: TurnRequest): Promise<Turn> => {
    if (forMs > 0) return work(forMs);
    gate.resolve();
    return { shards: 0, elapsedMs: 0, computeMs: 0 };
  },
  () => agent.stop({ graceful: false }),
);
