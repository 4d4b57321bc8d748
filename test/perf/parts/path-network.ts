import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startPracticeChain } from '#core/chain/practice/chain.ts';
import { generatePeerKey } from '#core/network/peer-key.ts';
import { createRelay } from '#core/network/relay/create-relay.ts';
import { networkFileSchema, type NetworkFile } from '#shared/model/network-file.ts';
import { Child, valueOf } from './child.ts';
import type { BuyerConfig } from './path-buyer.ts';
import type { ContributorConfig } from './path-contributor.ts';

export interface PathNetwork {
  readonly networkFile: NetworkFile;
  readonly directory: string;
  stop(): Promise<void>;
}

/** Chain and relay of a practice network, in this process: while it measures, this process waits. */
export async function startPathNetwork(): Promise<PathNetwork> {
  const directory = await mkdtemp(path.join(tmpdir(), 'hearth-bench-'));
  const chain = valueOf(await startPracticeChain({ directory: path.join(directory, 'chain') }));
  const networkId = 'bench-path';
  const relay = valueOf(
    await createRelay({
      networkId,
      key: await generatePeerKey(),
      listen: ['/ip4/127.0.0.1/tcp/0'],
      stun: { port: 0, host: '127.0.0.1' },
      privateAddresses: true,
    }),
  );
  const networkFile = networkFileSchema.parse({
    version: 1,
    networkId,
    chain: {
      chainId: chain.chainId,
      rpcUrls: [chain.url],
      contracts: chain.contracts,
      token: chain.token,
      deployBlock: chain.deployBlock,
    },
    bootstrap: relay.network.addresses(),
    stun: [`127.0.0.1:${relay.stunPort}`],
  });
  return {
    networkFile,
    directory,
    stop: async () => {
      await relay.stop();
      await chain.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** A contributor's process, and the requesters' that know it as reliable. */
export interface PathPeers {
  readonly contributor: Child;
  /** Started beside the others; `oneByOne`: a shard is given out when the one before is back. */
  readonly buyer: (name: string, oneByOne?: boolean) => Promise<Child>;
}

export async function withContributor<T>(
  { networkFile, directory }: PathNetwork,
  use: (peers: PathPeers) => Promise<T>,
): Promise<T> {
  const place = async (name: string): Promise<string> => {
    const folder = path.join(directory, name);
    await mkdir(folder, { recursive: true });
    return folder;
  };
  const contributorConfig: ContributorConfig = { directory: await place('contributor'), networkFile };
  const contributor = new Child('path-contributor.ts', contributorConfig);
  const buyers: Child[] = [];
  try {
    const { peerId } = await contributor.next<{ readonly peerId: string }>();
    return await use({
      contributor,
      buyer: async (name, oneByOne = false) => {
        const buyerConfig: BuyerConfig = { directory: await place(name), networkFile, proven: peerId, oneByOne };
        const buyer = new Child('path-buyer.ts', buyerConfig);
        buyers.push(buyer);
        await buyer.next();
        return buyer;
      },
    });
  } finally {
    await contributor.end();
    await Promise.all(buyers.map((buyer) => buyer.end()));
  }
}
