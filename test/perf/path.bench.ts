import { fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { multiaddr } from '@multiformats/multiaddr';
import { byteStream } from '@libp2p/utils';
import { BARE_ECHO, type PerfPeer } from '#support/network-perf-peer.ts';
import { repositoryRoot } from '#support/compute-models.ts';
import { bareNode } from './parts/bare-node.ts';
import type { BareRequest, Measured } from './parts/bare-loop.ts';
import { Child } from './parts/child.ts';
import type { BuyerRequest, JobEnd } from './parts/path-buyer.ts';
import type { Turn, TurnRequest } from './parts/path-contributor.ts';
import { startPathNetwork, withContributor, type PathPeers } from './parts/path-network.ts';
import type { Measure, Row } from './row.ts';

interface Subject {
  /** What a shard takes in the bare loop, about. */
  readonly ms: number;
  readonly goal: string;
}

const SUBJECTS: readonly Subject[] = [
  { ms: 10, goal: '>= 0.95' },
  { ms: 1, goal: '>= 0.7' },
];

/**
 * The whole path: requester, relay, contributor and sandboxed executor, each its own process, and a chain with real
 * channels. A shard counts once it is computed, sent back, verified and paid by a voucher that the contributor has
 * verified and stored. The peer is a proven one under the `adaptive` policy: the requester recomputes one answer in a
 * hundred on the same machine. Shards are digits drawn beforehand; executor and bare loop have one thread.
 */
export const measure: Measure = async ({ quick }) => {
  const network = await startPathNetwork();
  const bare = new Child('bare-loop.ts', {});
  try {
    await bare.next();
    return await withContributor(network, async (peers) => {
      const rows: Row[] = [];
      const buyer = await peers.buyer('buyer');
      for (const subject of SUBJECTS) rows.push(...(await compare(bare, peers.contributor, buyer, subject, quick)));
      return [...rows, ...(await roundTrip(peers, quick))];
    });
  } finally {
    await bare.end();
    await network.stop();
  }
};

/** In turns, many of them, so that whatever else the machine does falls on both. */
async function compare(
  bare: Child,
  contributor: Child,
  buyer: Child,
  { ms, goal }: Subject,
  quick: boolean,
): Promise<readonly Row[]> {
  const bareLoop = (batch: number, forMs: number) => bare.ask<Measured>({ batch, forMs } satisfies BareRequest);
  const path = (forMs: number) => contributor.ask<Turn>({ forMs } satisfies TurnRequest);
  const batch = await calibrate(bareLoop, ms);
  const { inputBytes } = await bareLoop(batch, 100);
  await buyer.ask({ begin: { batch } } satisfies BuyerRequest);
  // Until leases have their full length and the code is compiled.
  await path(quick ? 500 : 4000);
  const turns: { readonly bare: number; readonly path: number; readonly busy: number }[] = [];
  for (let turn = 0; turn < (quick ? 3 : 9); turn += 1) {
    const alone = rate(await bareLoop(batch, quick ? 400 : 1500));
    const through = await path(quick ? 400 : 1500);
    turns.push({ bare: alone, path: rate(through), busy: through.computeMs / through.elapsedMs });
  }
  await path(0);
  const end = await buyer.ask<JobEnd>({ end: true } satisfies BuyerRequest);
  if (end.paid !== end.verified) throw new Error(`${end.verified} shards were verified and ${end.paid} paid`);
  const name = `path: ${ms} ms shards (${batch} digits, ${Math.round(inputBytes / 1024)} KiB)`;
  return [
    { name: `${name}, of the bare loop`, value: median(turns.map((t) => t.path / t.bare)), unit: 'ratio', goal },
    { name: `${name}, verified and paid`, value: median(turns.map((t) => t.path)), unit: '1/s' },
    { name: `${name}, runtime at work`, value: median(turns.map((t) => t.busy)), unit: 'ratio' },
    { name: `${name}, bare loop`, value: median(turns.map((t) => t.bare)), unit: '1/s' },
  ];
}

/** Twice, as a larger batch costs more for each image. */
async function calibrate(bareLoop: (batch: number, forMs: number) => Promise<Measured>, ms: number): Promise<number> {
  let batch = 8;
  for (let round = 0; round < 3; round += 1) {
    await bareLoop(batch, 50);
    const { shards, elapsedMs } = await bareLoop(batch, 150);
    batch = Math.max(1, Math.round((ms * batch * shards) / elapsedMs));
  }
  return batch;
}

/** One shard of one digit at a time, from the lease's grant to the answer verified and stored, against an echo of its bytes. */
async function roundTrip({ contributor, buyer }: PathPeers, quick: boolean): Promise<readonly Row[]> {
  const oneByOne = await buyer('one-by-one', true);
  await oneByOne.ask({ begin: { batch: 1 } } satisfies BuyerRequest);
  await contributor.ask({ forMs: quick ? 1000 : 10_000 } satisfies TurnRequest);
  await contributor.ask({ forMs: 0 } satisfies TurnRequest);
  const { roundTripsMs, inputBytes } = await oneByOne.ask<JobEnd>({ end: true } satisfies BuyerRequest);
  const shard = median(roundTripsMs.slice(roundTripsMs.length >> 2));
  const echo = median(await echoes(inputBytes, quick ? 300 : 2000));
  return [
    { name: `path: round trip of a lease of one shard (${inputBytes} B), p50`, value: shard, unit: 'ms' },
    { name: `path: bare libp2p echo of ${inputBytes} B, p50`, value: echo, unit: 'ms' },
    { name: 'path: round trip of a lease / bare echo', value: shard / echo, unit: 'ratio' },
  ];
}

async function echoes(bytes: number, count: number): Promise<readonly number[]> {
  const server = fork(path.join(repositoryRoot, 'test/support/network-perf-peer.ts'), ['serve']);
  const client = await bareNode();
  try {
    const [peer] = (await once(server, 'message')) as [PerfPeer];
    const stream = await client.dialProtocol(
      peer.bare.map((address) => multiaddr(address)),
      BARE_ECHO,
    );
    const raw = byteStream(stream);
    const body = new Uint8Array(bytes).fill(1);
    const times: number[] = [];
    for (let trip = 0; trip < count; trip += 1) {
      const startedMs = performance.now();
      await raw.write(body);
      await raw.read({ bytes });
      times.push(performance.now() - startedMs);
    }
    stream.abort(new Error('done'));
    return times.slice(count >> 3);
  } finally {
    const exited = once(server, 'exit');
    server.disconnect();
    await Promise.all([client.stop(), exited]);
  }
}

function rate({ shards, elapsedMs }: Measured | Turn): number {
  return (shards * 1000) / elapsedMs;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}
