// The other side of the network benchmark, in a process of its own: one bare libp2p node and one node of ours.
import { byteStream } from '@libp2p/utils';
import { noise } from '@libp2p/noise';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import { createLibp2p } from 'libp2p';
import { createNetwork } from '#core/network/create-network.ts';
import { generatePeerKey } from '#core/network/peer-key.ts';
import type { Conversation, Network } from '#core/network/port.ts';

export const BARE_SINK = '/bench/sink/1.0';
export const BARE_ECHO = '/bench/echo/1.0';
export const SINK = '/hearth/bench-sink/1.0';
export const ECHO = '/hearth/bench-echo/1.0';
const patient = { timeoutMs: 60_000 };

export interface PerfPeer {
  readonly bare: readonly string[];
  readonly peerId: string;
  readonly addresses: readonly string[];
}
export interface IdleReport {
  readonly residentMb: number;
  readonly cpuPercent: number;
}

async function bareNode(): Promise<readonly string[]> {
  const node = await createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
  });
  // Eight bytes of length, then as many bytes, then one byte back.
  await node.handle(BARE_SINK, async (stream) => {
    const head = byteStream(stream);
    const size = (await head.read({ bytes: 8 })).subarray();
    let wanted = Number(new DataView(size.buffer, size.byteOffset, 8).getBigUint64(0));
    head.unwrap();
    stream.addEventListener('message', (event) => {
      wanted -= event.data.byteLength;
      if (wanted === 0) stream.send(Uint8Array.of(1));
    });
  });
  await node.handle(BARE_ECHO, (stream) => {
    stream.addEventListener('message', (event) => void stream.send(event.data));
  });
  return node.getMultiaddrs().map(String);
}

async function ownNode(bootstrap: readonly string[]): Promise<Network> {
  const started = await createNetwork({
    networkId: 'bench',
    key: await generatePeerKey(),
    bootstrap,
    stun: [],
    listen: ['/ip4/127.0.0.1/tcp/0'],
    upnp: false,
  });
  if (!started.ok) throw new Error(started.error.message);
  return started.value;
}

async function serve(network: Network, protocol: string, echo: boolean): Promise<void> {
  const handle = async (conversation: Conversation): Promise<void> => {
    for (;;) {
      const frame = await conversation.receive(patient);
      if (!frame.ok || frame.value === undefined) return;
      // A sink answers the control frame that ends a round.
      if (echo || frame.value.kind === 'control') await conversation.send(frame.value);
    }
  };
  await network.serve({ protocol, maxInboundStreams: 8, allowRelayed: false, handle });
}

/** After settling, what an idle node with its connection to a relay costs. */
async function idle(seconds: number): Promise<IdleReport> {
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  const before = process.cpuUsage();
  const startedMs = performance.now();
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const used = process.cpuUsage(before);
  return {
    residentMb: process.memoryUsage().rss / 2 ** 20,
    cpuPercent: (used.user + used.system) / 10 / (performance.now() - startedMs),
  };
}

if (process.send !== undefined) {
  const tell = (message: PerfPeer | IdleReport): void => void process.send?.(message);
  const [mode = '', argument = ''] = process.argv.slice(2);
  if (mode === 'serve') {
    const [bare, network] = await Promise.all([bareNode(), ownNode([])]);
    await Promise.all([serve(network, SINK, false), serve(network, ECHO, true)]);
    tell({ bare, peerId: network.peerId, addresses: network.addresses() });
  } else {
    const network = await ownNode([argument]);
    network.subscribe('offer', () => undefined);
    process.on('message', (seconds: number) => void idle(seconds).then(tell));
    process.send('ready');
  }
  process.on('disconnect', () => process.exit(0));
}
