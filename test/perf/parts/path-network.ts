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

/** One contributor that the requester knows as reliable, and the requester: each a process of its own. */
export async function withPair<T>(
  { networkFile, directory }: PathNetwork,
  creditShards: number,
  use: (contributor: Child, buyer: Child) => Promise<T>,
): Promise<T> {
  const place = async (name: string): Promise<string> => {
    const folder = path.join(directory, `${name}-${creditShards}`);
    await mkdir(folder, { recursive: true });
    return folder;
  };
  const config: ContributorConfig = { directory: await place('contributor'), networkFile, creditShards };
  const contributor = new Child('path-contributor.ts', config);
  let buyer: Child | undefined;
  try {
    const { peerId } = await contributor.next<{ readonly peerId: string }>();
    const buyerConfig: BuyerConfig = { directory: await place('buyer'), networkFile, proven: peerId };
    buyer = new Child('path-buyer.ts', buyerConfig);
    await buyer.next();
    return await use(contributor, buyer);
  } finally {
    await contributor.end();
    await buyer?.end();
  }
}
