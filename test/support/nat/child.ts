// One node in a process of its own, for tests that put nodes into network namespaces. Speaks JSON lines.
import { createInterface } from 'node:readline';
import { createNetwork } from '#core/network/create-network.ts';
import { generatePeerKey } from '#core/network/peer-key.ts';
import type { Network } from '#core/network/port.ts';
import { createRelay } from '#core/network/relay/create-relay.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import { peerIdText } from '#shared/units.ts';
import { eventually } from '../network-nodes.ts';

const PROTOCOL = '/hearth/echo/1.0';
const [role = '', host = '', bootstrap = ''] = process.argv.slice(2);
const say = (fact: Readonly<Record<string, unknown>>): void => void process.stdout.write(`${JSON.stringify(fact)}\n`);

async function relay(): Promise<{ stop(): Promise<void> }> {
  const started = await createRelay({
    networkId: 'nat-lab',
    key: await generatePeerKey(),
    listen: [`/ip4/${host}/tcp/4001`],
    announce: [`/ip4/${host}/tcp/4001`],
    stun: { port: 3478, host },
  });
  if (!started.ok) throw new Error(started.error.message);
  say({ ready: started.value.network.addresses()[0] });
  return started.value;
}

async function home(): Promise<Network> {
  const started = await createNetwork({
    networkId: 'nat-lab',
    key: await generatePeerKey(),
    bootstrap: [bootstrap],
    stun: [`${host}:3478`],
    upnp: false,
  });
  if (!started.ok) throw new Error(started.error.message);
  const network = started.value;
  await network.serve({
    protocol: PROTOCOL,
    maxInboundStreams: 4,
    allowRelayed: false,
    handle: async (conversation) => {
      let receivedBytes = 0;
      for (;;) {
        const frame = await conversation.receive({ timeoutMs: 20_000 });
        if (!frame.ok || frame.value === undefined) return;
        receivedBytes += frame.value.body.byteLength;
        if (frame.value.kind === 'control') {
          await conversation.send({ kind: 'control', body: Buffer.from(String(receivedBytes)) });
        }
      }
    },
  });
  await eventually(network, () => network.addresses().find((address) => address.includes('/webrtc')));
  say({ ready: network.peerId, reachability: network.reachability() });
  return network;
}

/** Opens a conversation with the other home and moves some data: how it went is said on one line. */
async function call(network: Network, peer: string): Promise<void> {
  const startedMs = performance.now();
  const opened = await network.open(peerIdText(peer), PROTOCOL, { timeoutMs: 30_000 });
  if (!opened.ok) {
    say({ failed: opened.error });
    return;
  }
  const openMs = performance.now() - startedMs;
  const body = new Uint8Array(LIMITS.frame.dataBytes);
  const frames = 16;
  const sendMs = performance.now();
  for (let sent = 0; sent < frames; sent += 1) await opened.value.send({ kind: 'data', body });
  await opened.value.send({ kind: 'control', body: Uint8Array.of(0) });
  const answer = await opened.value.receive({ timeoutMs: 20_000 });
  const seconds = (performance.now() - sendMs) / 1000;
  const receivedBytes = answer.ok && answer.value ? Number(Buffer.from(answer.value.body).toString()) : undefined;
  const view = network.peers().find((candidate) => candidate.peerId === peer);
  say({
    via: view?.via,
    addresses: view?.addresses,
    openMs,
    receivedBytes,
    mbPerSecond: (frames * body.length) / 1e6 / seconds,
  });
}

const started =
  role === 'relay' ? { node: await relay() } : await home().then((network) => ({ node: network, network }));
const lines = createInterface({ input: process.stdin });
lines.on('line', (peer) => {
  if ('network' in started) void call(started.network, peer);
});
// The test ends its children by closing their input.
lines.on('close', () => void started.node.stop().then(() => process.exit(0)));
