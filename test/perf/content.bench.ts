import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { multiaddr } from '@multiformats/multiaddr';
import { createContent } from '#core/content/create-content.ts';
import type { Content, ManifestCid } from '#core/content/port.ts';
import { createNetwork } from '#core/network/create-network.ts';
import { generatePeerKey } from '#core/network/peer-key.ts';
import type { Network } from '#core/network/port.ts';
import type { Result } from '#shared/result.ts';
import { MiB, peerIdText } from '#shared/units.ts';
import { BARE_PROTOCOL, bareNode, swallow } from './parts/bare-node.ts';
import type { Source } from './parts/content-source.ts';
import type { Measure } from './row.ts';

/**
 * A verified download, from disk to disk, against a bare libp2p stream that pours the same number of bytes from memory
 * into nothing: the same two processes over TCP on loopback, taking turns; medians.
 */
export const measure: Measure = async ({ quick }) => {
  const totalBytes = (quick ? 64 : 256) * MiB;
  const rounds = quick ? 3 : 7;
  const directory = mkdtempSync(path.join(tmpdir(), 'hearth-bench-content-'));
  const config = { directory: path.join(directory, 'source'), totalBytes };
  const child = fork(path.join(import.meta.dirname, 'parts/content-source.ts'), [JSON.stringify(config)]);
  try {
    const [source] = (await once(child, 'message')) as [Source];
    const figures = await turns(source, { totalBytes, rounds, directory: path.join(directory, 'sink') });
    const rate = (ms: readonly number[]): number => totalBytes / 1e6 / (median(ms) / 1000);
    return [
      { name: 'bare libp2p stream over TCP', value: rate(figures.bareMs), unit: 'MB/s' },
      { name: 'verified download over TCP, disk to disk', value: rate(figures.fetchMs), unit: 'MB/s' },
      {
        name: 'verified download against a bare libp2p stream',
        value: rate(figures.fetchMs) / rate(figures.bareMs),
        unit: 'ratio',
        goal: '>= 0.8',
      },
    ];
  } finally {
    child.kill('SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  }
};

async function turns(
  source: Source,
  {
    totalBytes,
    rounds,
    directory,
  }: { readonly totalBytes: number; readonly rounds: number; readonly directory: string },
): Promise<{ readonly bareMs: readonly number[]; readonly fetchMs: readonly number[] }> {
  const bare = await bareNode();
  const { network, content } = await hearthNode(source, directory, totalBytes * 2);
  const [bareMs, fetchMs]: [number[], number[]] = [[], []];
  try {
    const connection = await bare.dial(multiaddr(source.bareAddress));
    // One more round that is not counted: both sides compile and open their windows.
    for (let round = 0; round <= rounds; round += 1) {
      const pouring = await timed(async () => {
        await swallow(await connection.newStream(BARE_PROTOCOL), totalBytes);
      });
      const cid = source.cid as ManifestCid;
      const fetching = await timed(async () => {
        orThrow(await content.fetch(cid, { from: [peerIdText(source.peerId)], maxBytes: totalBytes, announce: false }));
      });
      await content.remove(cid);
      if (round === 0) continue;
      bareMs.push(pouring);
      fetchMs.push(fetching);
    }
  } finally {
    await content.stop();
    await network.stop();
    await bare.stop();
  }
  return { bareMs, fetchMs };
}

async function hearthNode(
  source: Source,
  directory: string,
  budgetBytes: number,
): Promise<{ readonly network: Network; readonly content: Content }> {
  const network = orThrow(
    await createNetwork({
      networkId: 'bench',
      key: await generatePeerKey(),
      bootstrap: source.addresses,
      stun: [],
      listen: ['/ip4/127.0.0.1/tcp/0'],
      privateAddresses: true,
      upnp: false,
      webrtc: false,
    }),
  );
  await new Promise<void>((resolve) => {
    const look = (): void => {
      if (network.peers().some((peer) => peer.peerId === source.peerId)) resolve();
    };
    network.on('peers', look);
    look();
  });
  return { network, content: orThrow(await createContent({ network, directory, budgetBytes })) };
}

async function timed(work: () => Promise<void>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? Number.NaN;
}

function orThrow<T>(result: Result<T, { readonly message: string }>): T {
  if (!result.ok) throw new Error(result.error.message);
  return result.value;
}
