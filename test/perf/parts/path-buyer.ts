// The requester of the path benchmark.
import path from 'node:path';
import pino from 'pino';
import { startBuyer } from '#core/buyer.ts';
import { practicePurseFromFile } from '#core/key-file.ts';
import { openLedger } from '#core/ledger/open-ledger.ts';
import type { JobHandle } from '#core/requester/job.ts';
import type { RequesterEvent } from '#shared/model/events.ts';
import type { NetworkFile } from '#shared/model/network-file.ts';
import { peerIdText, sha256Hex, wei } from '#shared/units.ts';
import { executorFiles } from '#support/compute-models.ts';
import { practiceFaucet } from '../../../electron/headless/commands/parts/faucet.ts';
import { answerParent, config, valueOf } from './child.ts';
import { digitShards } from './digit-shards.ts';

export interface BuyerConfig {
  readonly directory: string;
  readonly networkFile: NetworkFile;
  /** The contributor: with us it has a good name already, so that one answer in a hundred is recomputed, not each. */
  readonly proven: string;
  /** A shard is given out when the one before is back: for how long one takes, not how many pass. */
  readonly oneByOne: boolean;
}

/** Begins an endless job of digits, or ends the one that runs. */
export type BuyerRequest = { readonly begin: { readonly batch: number } } | { readonly end: true };

export interface JobEnd {
  readonly verified: number;
  readonly checked: number;
  readonly paid: number;
  /** From a lease granted to its answer verified and stored, where leases hold one shard. */
  readonly roundTripsMs: readonly number[];
  readonly inputBytes: number;
}

const STREAK = 1000;
const { directory, networkFile, proven, oneByOne } = config() as BuyerConfig;
const wallet = valueOf(await practicePurseFromFile(path.join(directory, 'purse.key')));
await practiceFaucet(networkFile, wallet.address)();

const { modelDigest } = await digitShards(1);
const ledger = valueOf(openLedger(path.join(directory, 'ledger.sqlite'), 'requester'));
const standing = {
  peer: peerIdText(proven),
  modelDigest: sha256Hex(modelDigest),
  backend: 'cpu',
  streak: STREAK,
} as const;
valueOf(ledger.apply('', { standings: [{ ...standing, valid: STREAK, invalid: 0 }] }));
ledger.close();

let grantedAt: number | undefined;
let roundTripsMs: number[] = [];
const onEvent = (event: RequesterEvent): void => {
  if (event.type === 'lease.granted') grantedAt = event.shards === 1 ? performance.now() : undefined;
  else if (event.type === 'shard.verified' && grantedAt !== undefined) {
    roundTripsMs.push(performance.now() - grantedAt);
    grantedAt = undefined;
  }
};

const buyer = valueOf(
  await startBuyer({
    directory,
    networkFile,
    wallet,
    executor: executorFiles,
    threads: 1,
    logger: pino({ level: 'silent' }),
    local: true,
    onEvent,
    ...(oneByOne ? { settings: { maxShardsPerLease: 1 } } : {}),
  }),
);

let job: JobHandle | undefined;
let inputBytes = 0;
/** Resolved by the shard before. */
let turn = Promise.resolve();
let given = -1;
let pass: () => void = () => {};

async function begin(batch: number): Promise<object> {
  const { model, shards } = await digitShards(batch);
  inputBytes = Object.values(shards[0] ?? {}).reduce((sum, { bytes }) => sum + bytes.byteLength, 0);
  roundTripsMs = [];
  given = -1;
  const submitted = await buyer.requester.submit({
    jobId: `digits-${batch}-${Date.now()}`,
    model,
    source: {
      inputs: async (index) => {
        // The referee asks again for a shard that is given out already: that must not wait for the shard itself.
        if (oneByOne && index > given) {
          given = index;
          await turn;
          turn = new Promise((resolve) => {
            pass = resolve;
          });
        }
        return shards[index % shards.length];
      },
    },
    priceWei: wei(1n),
    budgetWei: wei(10n ** 9n),
    checks: 'adaptive',
    tolerance: 1e-5,
    onOutput: () => pass(),
  });
  job = valueOf(submitted);
  return {};
}

async function end(): Promise<JobEnd> {
  job?.finishUp();
  const done = await job?.done;
  if (done === undefined) throw new Error('no job runs');
  const { verified, checked, paidWei } = valueOf(done);
  return { verified, checked, paid: Number(paidWei), roundTripsMs, inputBytes };
}

answerParent(
  {},
  (request: BuyerRequest) => ('begin' in request ? begin(request.begin.batch) : end()),
  () => buyer.stop(),
);
