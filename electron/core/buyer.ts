import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { AppError } from '#shared/errors.ts';
import type { RequesterEvent } from '#shared/model/events.ts';
import type { NetworkFile } from '#shared/model/network-file.ts';
import { ok, type Result } from '#shared/result.ts';
import { wei, type Wei } from '#shared/units.ts';
import { createIndexer } from './chain/indexer/indexer.ts';
import type { ExecutorFiles } from './compute/sandbox/command.ts';
import type { PurseKey } from './key-file.ts';
import { openLedger } from './ledger/open-ledger.ts';
import { systemClock, type Clock } from './market/clock.ts';
import type { Logger } from './obs/logger.ts';
import { startPeer, type Peer } from './peer.ts';
import type { RequesterSettings } from './requester/context.ts';
import { createRequester, type Requester } from './requester/requester.ts';

export interface BuyerOptions {
  readonly directory: string;
  readonly networkFile: NetworkFile;
  readonly wallet: PurseKey;
  readonly executor: ExecutorFiles;
  /** CPU threads of the referee. */
  readonly threads: number;
  readonly logger: Logger;
  readonly local: boolean;
  readonly onEvent: (event: RequesterEvent) => void;
  readonly settings?: Partial<RequesterSettings>;
  readonly clock?: Clock;
}

/** Whoever has work done: a peer with a purse, a ledger, and a referee of its own. */
export interface Buyer {
  readonly peer: Peer;
  readonly requester: Requester;
  /** A job's money from two sides that do not know of each other: our ledger's vouchers and the chain's own events. */
  account(jobId: string): Promise<Result<JobAccount, AppError>>;
  stop(): Promise<void>;
}

export interface JobAccount {
  readonly promisedWei: Wei;
  readonly paidOnChainWei: Wei;
}

export async function startBuyer(options: BuyerOptions): Promise<Result<Buyer, AppError>> {
  const { directory, networkFile, logger } = options;
  const clock = options.clock ?? systemClock;
  const ledger = openLedger(path.join(directory, 'ledger.sqlite'), 'requester');
  if (!ledger.ok) return ledger;
  const started = await startPeer({
    directory,
    networkFile,
    wallet: options.wallet,
    logger,
    compute: { ...options.executor, threads: options.threads },
    ...(options.local ? { listen: ['/ip4/127.0.0.1/tcp/0'], upnp: false, webrtc: false } : {}),
  });
  if (!started.ok) {
    ledger.value.close();
    return started;
  }
  const peer = started.value;
  const { chainId, contracts } = networkFile.chain;
  const requester = createRequester({
    network: peer.network,
    content: peer.content,
    compute: peer.compute,
    refereePlacement: { backend: 'cpu', device: 0 },
    chain: peer.chain,
    ledger: ledger.value,
    pay: { chainId, channels: contracts.channels, token: contracts.token },
    signer: options.wallet,
    clock,
    logger: logger.child({ part: 'requester' }),
    onEvent: options.onEvent,
    ...(options.settings === undefined ? {} : { settings: options.settings }),
  });
  await requester.start();
  const index = new DatabaseSync(path.join(directory, 'chain-index.sqlite'));
  const indexer = createIndexer({
    request: peer.chain.request,
    network: networkFile,
    account: peer.chain.address,
    database: index,
  });
  return ok({
    peer,
    requester,
    account: async (jobId) => {
      const synced = await indexer.sync();
      if (!synced.ok) return synced;
      const onChain = new Map(indexer.queries.channels().map(({ channelId, settledWei }) => [channelId, settledWei]));
      let promised = 0n;
      let paid = 0n;
      for (const { channelId, cumulativeWei } of ledger.value.channels.ofJob(jobId)) {
        promised += cumulativeWei;
        if (channelId !== undefined) paid += onChain.get(channelId) ?? 0n;
      }
      return ok({ promisedWei: wei(promised), paidOnChainWei: wei(paid) });
    },
    stop: async () => {
      await requester.stop();
      await indexer.stop();
      await peer.stop();
      index.close();
      ledger.value.close();
    },
  });
}
