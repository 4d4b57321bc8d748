import path from 'node:path';
import type { AppError } from '#shared/errors.ts';
import type { NetworkFile } from '#shared/model/network-file.ts';
import { err, ok, type Result } from '#shared/result.ts';
import { GiB } from '#shared/units.ts';
import { createChain, type EthersChain } from './chain/chain.ts';
import { createCompute, type ComputePool, type CreateComputeOptions } from './compute/create-compute.ts';
import { createContent } from './content/create-content.ts';
import type { Content } from './content/port.ts';
import { peerKeyFromFile, type PurseKey } from './key-file.ts';
import { createNetwork } from './network/create-network.ts';
import type { PeerKey } from './network/peer-key.ts';
import type { Network } from './network/port.ts';
import type { ScoreStore } from './network/peers/scores.ts';
import type { Logger } from './obs/logger.ts';

export interface PeerOptions {
  /** Everything this peer keeps on disk. */
  readonly directory: string;
  readonly networkFile: NetworkFile;
  readonly wallet: PurseKey;
  readonly logger: Logger;
  readonly compute: CreateComputeOptions;
  /** Multiaddrs; every interface and a free port by default. */
  readonly listen?: readonly string[];
  readonly upnp?: boolean;
  readonly webrtc?: boolean;
  readonly contentBytes?: number;
  readonly scores?: ScoreStore;
}

/** What contributor and requester have in common: a place in the network, a store, a purse, and a way to compute. */
export interface Peer {
  readonly key: PeerKey;
  readonly network: Network;
  readonly content: Content;
  readonly chain: EthersChain;
  readonly compute: ComputePool;
  readonly logger: Logger;
  /** In the reverse order of the start. */
  stop(): Promise<void>;
}

export async function startPeer(options: PeerOptions): Promise<Result<Peer, AppError>> {
  const { directory, networkFile, logger } = options;
  const key = await peerKeyFromFile(path.join(directory, 'peer.key'));
  if (!key.ok) return key;
  const network = await createNetwork({
    networkId: networkFile.networkId,
    key: key.value,
    bootstrap: networkFile.bootstrap,
    stun: networkFile.stun,
    log: logger.child({ part: 'network' }),
    ...(options.listen === undefined ? {} : { listen: options.listen }),
    ...(options.upnp === undefined ? {} : { upnp: options.upnp }),
    ...(options.webrtc === undefined ? {} : { webrtc: options.webrtc }),
    ...(options.scores === undefined ? {} : { scores: options.scores }),
  });
  if (!network.ok) return network;
  const content = await createContent({
    network: network.value,
    directory: path.join(directory, 'content'),
    budgetBytes: options.contentBytes ?? 20 * GiB,
    logger: logger.child({ part: 'content' }),
  });
  if (!content.ok) {
    await network.value.stop();
    return err(content.error);
  }
  const chain = await createChain({ networkFile, wallet: options.wallet });
  const compute = createCompute(options.compute);
  return ok({
    key: key.value,
    network: network.value,
    content: content.value,
    chain,
    compute,
    logger,
    stop: async () => {
      await compute.stop();
      await content.value.stop();
      await network.value.stop();
      await chain.stop();
    },
  });
}
