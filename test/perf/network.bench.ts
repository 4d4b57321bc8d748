import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { byteStream } from '@libp2p/utils';
import { noise } from '@libp2p/noise';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import type { Stream } from '@libp2p/interface';
import type { Conversation, Network } from '#core/network/port.ts';
import { MiB } from '#shared/units.ts';
import { peerIdText } from '#shared/units.ts';
import { BARE_ECHO, BARE_SINK, ECHO, SINK } from '#support/network-perf-peer.ts';
import type { IdleReport, PerfPeer } from '#support/network-perf-peer.ts';
import { TestNodes } from '#support/network-nodes.ts';
import type { Measure, Row } from './row.ts';

const patient = { timeoutMs: 60_000 };
const ENTRY = path.resolve(import.meta.dirname, '../support/network-perf-peer.ts');

function quantile(values: readonly number[], at: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * at))] ?? Number.NaN;
}

async function mbPerSecond(bytes: number, transfer: () => Promise<void>): Promise<number> {
  const startedMs = performance.now();
  await transfer();
  return bytes / 1000 / (performance.now() - startedMs);
}

async function writable(stream: Stream): Promise<void> {
  while (stream.writableNeedsDrain) {
    // libp2p's own onDrain() answers at once after the first time.
    await new Promise<void>((resolve) =>
      stream.addEventListener('drain', () => queueMicrotask(resolve), { once: true }),
    );
  }
}

async function bareTransfer(stream: Stream, frame: Uint8Array, frames: number): Promise<void> {
  const size = new Uint8Array(8);
  new DataView(size.buffer).setBigUint64(0, BigInt(frame.byteLength * frames));
  const acknowledged = new Promise<void>((resolve) =>
    stream.addEventListener('message', () => resolve(), { once: true }),
  );
  stream.send(size);
  for (let sent = 0; sent < frames; sent += 1) {
    await writable(stream);
    stream.send(frame);
  }
  await acknowledged;
}

async function conversationTransfer(conversation: Conversation, frame: Uint8Array, frames: number): Promise<void> {
  for (let sent = 0; sent < frames; sent += 1) await conversation.send({ kind: 'data', body: frame });
  await conversation.send({ kind: 'control', body: Uint8Array.of(1) });
  const answer = await conversation.receive(patient);
  if (!answer.ok) throw new Error(answer.error.message);
}

async function roundTrips(count: number, once: () => Promise<void>): Promise<readonly number[]> {
  const times: number[] = [];
  for (let trip = 0; trip < count; trip += 1) {
    const startedMs = performance.now();
    await once();
    times.push(performance.now() - startedMs);
  }
  return times.slice(count >> 3);
}

interface Sides {
  readonly network: Network;
  readonly peer: PerfPeer;
  readonly bare: (protocol: string) => Promise<Stream>;
}

async function open({ network, peer }: Sides, protocol: string): Promise<Conversation> {
  const options = { ...patient, addresses: peer.addresses };
  const opened = await network.open(peerIdText(peer.peerId), protocol, options);
  if (!opened.ok) throw new Error(opened.error.message);
  return opened.value;
}

async function bulk(sides: Sides, quick: boolean): Promise<readonly Row[]> {
  const frame = new Uint8Array(MiB).fill(7);
  const frames = quick ? 32 : 256;
  const bytes = frame.byteLength * frames;
  const bare: number[] = [];
  const own: number[] = [];
  // In turns, so that both meet the same weather.
  for (let round = 0; round < (quick ? 3 : 7); round += 1) {
    const stream = await sides.bare(BARE_SINK);
    bare.push(await mbPerSecond(bytes, () => bareTransfer(stream, frame, frames)));
    stream.abort(new Error('done'));
    const conversation = await open(sides, SINK);
    own.push(await mbPerSecond(bytes, () => conversationTransfer(conversation, frame, frames)));
    await conversation.close();
  }
  const bareMedian = quantile(bare.slice(1), 0.5);
  const ownMedian = quantile(own.slice(1), 0.5);
  return [
    { name: 'libp2p stream, one way', value: bareMedian, unit: 'MB/s' },
    { name: 'conversation, one way', value: ownMedian, unit: 'MB/s' },
    { name: 'conversation / libp2p stream', value: ownMedian / bareMedian, unit: 'ratio', goal: '>= 0.8' },
  ];
}

async function latency(sides: Sides, quick: boolean): Promise<readonly Row[]> {
  const body = new Uint8Array(1024).fill(1);
  const trips = quick ? 400 : 4000;
  const stream = await sides.bare(BARE_ECHO);
  const raw = byteStream(stream);
  const bare = await roundTrips(trips, async () => {
    await raw.write(body);
    await raw.read({ bytes: body.byteLength });
  });
  stream.abort(new Error('done'));
  const conversation = await open(sides, ECHO);
  const own = await roundTrips(trips, async () => {
    await conversation.send({ kind: 'control', body });
    await conversation.receive(patient);
  });
  await conversation.close();
  return [
    { name: 'libp2p echo of 1 kB, p50', value: quantile(bare, 0.5), unit: 'ms' },
    { name: 'conversation echo of 1 kB, p50', value: quantile(own, 0.5), unit: 'ms' },
    { name: 'conversation echo of 1 kB, p99', value: quantile(own, 0.99), unit: 'ms' },
    { name: 'conversation / libp2p round trip', value: quantile(own, 0.5) / quantile(bare, 0.5), unit: 'ratio' },
  ];
}

async function idleCost(nodes: TestNodes, quick: boolean): Promise<readonly Row[]> {
  const relay = await nodes.relay();
  const child = fork(ENTRY, ['idle', relay.network.addresses()[0] ?? '']);
  try {
    await once(child, 'message');
    child.send(quick ? 2 : 15);
    const [report] = (await once(child, 'message')) as [IdleReport];
    return [
      { name: 'idle network node from sources, resident', value: report.residentMb, unit: 'MiB', goal: '< 200' },
      { name: 'idle network node, CPU', value: report.cpuPercent, unit: '%', goal: '< 1' },
    ];
  } finally {
    await end(child);
  }
}

async function end(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit');
  child.disconnect();
  await exited;
}

/** Conversations against the bare libp2p stream beneath them, between two processes; and what an idle node costs. */
export const measure: Measure = async ({ quick }) => {
  const nodes = new TestNodes();
  const server = fork(ENTRY, ['serve']);
  const client = await createLibp2p({
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
  });
  try {
    const [peer] = (await once(server, 'message')) as [PerfPeer];
    const network = await nodes.home([], { privateAddresses: true });
    const target = peer.bare.map((address) => multiaddr(address));
    const bare = async (protocol: string): Promise<Stream> => client.dialProtocol(target, protocol);
    const sides: Sides = { network, peer, bare };
    return [...(await bulk(sides, quick)), ...(await latency(sides, quick)), ...(await idleCost(nodes, quick))];
  } finally {
    await Promise.all([client.stop(), nodes.stop(), end(server)]);
  }
};
