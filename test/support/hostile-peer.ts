import { circuitRelayTransport } from '@libp2p/circuit-relay-v2';
import { gossipsub, StrictNoSign } from '@libp2p/gossipsub';
import type { GossipSub } from '@libp2p/gossipsub';
import { identify } from '@libp2p/identify';
import { noise } from '@libp2p/noise';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';
import type { Libp2p, Stream } from '@libp2p/interface';
import { generatePeerKey } from '#core/network/peer-key.ts';
import type { PeerKey } from '#core/network/peer-key.ts';
import { peerIdText } from '#shared/units.ts';
import type { PeerIdText } from '#shared/units.ts';

/** A bare libp2p node that follows none of our rules: raw streams and raw gossip. */
export interface HostilePeer {
  readonly peerId: PeerIdText;
  readonly key: PeerKey;
  readonly node: Libp2p<{ identify: unknown; pubsub: GossipSub }>;
  stream(addresses: readonly string[], protocol: string): Promise<Stream>;
  connect(addresses: readonly string[]): Promise<void>;
  stop(): Promise<void>;
}

export async function startHostile(): Promise<HostilePeer> {
  const key = await generatePeerKey();
  const node = await createLibp2p({
    privateKey: key.libp2p,
    addresses: { listen: [] },
    transports: [tcp(), circuitRelayTransport()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionMonitor: { enabled: false },
    services: {
      identify: identify(),
      pubsub: gossipsub({ globalSignaturePolicy: StrictNoSign, allowPublishToZeroTopicPeers: true }),
    },
  });
  // TCP alone: that is the transport it has.
  const targets = (addresses: readonly string[]) =>
    addresses
      .filter((address) => !address.includes('/ws') && !address.includes('p2p-circuit'))
      .map((a) => multiaddr(a));
  return {
    peerId: peerIdText(node.peerId.toString()),
    key,
    node,
    stream: async (addresses, protocol) =>
      node.dialProtocol(targets(addresses), protocol, { maxOutboundStreams: 1024 }),
    connect: async (addresses) => {
      await node.dial(targets(addresses));
    },
    stop: async () => node.stop(),
  };
}
