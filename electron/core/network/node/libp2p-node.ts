import { autoNATv2 } from '@libp2p/autonat-v2';
import type { AutoNATv2Components } from '@libp2p/autonat-v2';
import { circuitRelayServer, circuitRelayTransport } from '@libp2p/circuit-relay-v2';
import { dcutr } from '@libp2p/dcutr';
import { gossipsub, StrictNoSign } from '@libp2p/gossipsub';
import type { GossipSub } from '@libp2p/gossipsub';
import { identify, identifyPush } from '@libp2p/identify';
import { kadDHT, passthroughMapper, removePrivateAddressesMapper } from '@libp2p/kad-dht';
import type { KadDHT } from '@libp2p/kad-dht';
import { noise } from '@libp2p/noise';
import { ping } from '@libp2p/ping';
import { tcp } from '@libp2p/tcp';
import { webSockets } from '@libp2p/websockets';
import { yamux } from '@libp2p/yamux';
import { createLibp2p } from 'libp2p';
import type { Libp2pOptions } from 'libp2p';
import type { ConnectionGater, Libp2p, ServiceMap } from '@libp2p/interface';
import { LIMITS } from '#shared/protocol/limits.ts';
import type { PeerKey } from '../peer-key.ts';
import { withSlowWalk } from './slow-walk.ts';

/** Not the public IPFS table: this network's own. */
export const DHT_PROTOCOL = '/hearth/kad/1.0';

export interface NodeServices extends ServiceMap {
  readonly dht: KadDHT;
  readonly pubsub: GossipSub;
}
export type Node = Libp2p<NodeServices>;

type Transports = NonNullable<Libp2pOptions['transports']>;
/** Each service names the components it needs; libp2p hands all of them all components. */
type ServiceFactories = Readonly<Record<string, (components: never) => unknown>>;

export interface NodeOptions {
  readonly role: 'home' | 'relay';
  readonly key: PeerKey;
  readonly listen: readonly string[];
  readonly announce: readonly string[];
  readonly gater: ConnectionGater;
  /** Whether addresses of a private network may be told to others. */
  readonly sharePrivate: boolean;
  readonly upnp: boolean;
  readonly webrtc: boolean;
  /** "host:port" */
  readonly stun: readonly string[];
}

const net = LIMITS.network;

/** A started libp2p node with every limit set on purpose; throws what libp2p throws. */
export async function startNode(options: NodeOptions): Promise<Node> {
  const services = { ...sharedServices(options), ...(await roleServices(options)) };
  const node = await createLibp2p({
    privateKey: options.key.libp2p,
    nodeInfo: { name: 'hearth', version: '1', userAgent: 'hearth/1' },
    addresses: { listen: [...options.listen], announce: [...options.announce] },
    transports: await transports(options),
    connectionEncrypters: [noise()],
    streamMuxers: [
      yamux({
        maxInboundStreams: net.streamsPerConnection,
        maxOutboundStreams: net.streamsPerConnection,
        keepAliveInterval: net.pingEveryMs,
        streamOptions: { maxStreamWindowSize: net.yamuxWindowBytes, maxReadBufferLength: net.readBufferBytes },
      }),
    ],
    connectionGater: options.gater,
    connectionManager: {
      maxConnections: options.role === 'relay' ? net.relayConnections : net.connections,
      maxIncomingPendingConnections: net.pendingConnections,
      inboundConnectionThreshold: net.connectionsPerSecondPerHost,
      maxParallelDials: net.parallelDials,
      maxDialQueueLength: net.queuedDials,
      maxPeerAddrsToDial: net.addressesPerDial,
      dialTimeout: net.dialMs,
      addressDialTimeout: net.addressDialMs,
      inboundUpgradeTimeout: net.handshakeMs,
      inboundStreamProtocolNegotiationTimeout: net.handshakeMs,
      outboundStreamProtocolNegotiationTimeout: net.negotiateMs,
    },
    // libp2p's monitor cuts busy slow links; monitor.ts is ours.
    connectionMonitor: { enabled: false },
    // libp2p logs through the DEBUG variable only; what matters is logged by this part.
    services: services as NonNullable<Libp2pOptions['services']>,
  });
  return node as unknown as Node;
}

async function transports(options: NodeOptions): Promise<Transports> {
  const basic: Transports = [
    tcp({ maxConnections: options.role === 'relay' ? net.relayConnections : net.connections }),
    webSockets(),
    (components) => circuitRelayTransport({ maxInboundStopStreams: net.streamsPerProtocol })(withSlowWalk(components)),
  ];
  if (!options.webrtc) return basic;
  // A native module with threads of its own: only loaded where it is used.
  const { webRTC } = await import('@libp2p/webrtc');
  const iceServers = options.stun.map((host) => ({ urls: `stun:${host}` }));
  return [...basic, webRTC({ rtcConfiguration: { iceServers } })];
}

function sharedServices(options: NodeOptions): ServiceFactories {
  return {
    identify: identify({ maxMessageSize: net.identifyBytes }),
    identifyPush: identifyPush({ maxMessageSize: net.identifyBytes }),
    ping: ping(),
    dht: kadDHT({
      protocol: DHT_PROTOCOL,
      // A home becomes a server by itself once a public address of it is verified; a relay always is one.
      ...(options.role === 'relay' ? { clientMode: false } : {}),
      peerInfoMapper: options.sharePrivate ? passthroughMapper : removePrivateAddressesMapper,
      maxInboundStreams: net.streamsPerProtocol,
      maxOutboundStreams: net.streamsPerProtocol,
    }),
    pubsub: gossipsub({
      // Statements are signed by their authors; a second signature would only cost time.
      globalSignaturePolicy: StrictNoSign,
      allowPublishToZeroTopicPeers: true,
      emitSelf: false,
      floodPublish: true,
      maxInboundDataLength: LIMITS.gossip.messageBytes + 1024,
      maxOutboundBufferSize: 4 * 1024 * 1024,
      maxTopicBytesPerPeer: LIMITS.gossip.topicCount * 2 * 1280,
      maxInboundStreams: 2,
      maxOutboundStreams: 2,
    }),
    // Never autonat v1: with WebSockets behind a NAT it closed live connections.
    autoNAT: (components: AutoNATv2Components) => autoNATv2()(withSlowWalk(components)),
  };
}

async function roleServices(options: NodeOptions): Promise<ServiceFactories> {
  if (options.role === 'relay') {
    const { relay } = LIMITS;
    return {
      relay: circuitRelayServer({
        maxInboundHopStreams: relay.hopStreams,
        maxOutboundStopStreams: relay.stopStreams,
        reservations: {
          maxReservations: relay.reservations,
          reservationTtl: relay.reservationMs,
          applyDefaultLimit: true,
          defaultDurationLimit: relay.connectionMs,
          defaultDataLimit: BigInt(relay.bytesPerConnection),
        },
      }),
    };
  }
  if (!options.upnp) return { dcutr: dcutr() };
  const { uPnPNAT } = await import('@libp2p/upnp-nat');
  return { dcutr: dcutr(), upnp: uPnPNAT({ portMappingDescription: 'Hearth' }) };
}
