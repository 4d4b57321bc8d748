import { peerIdFromString } from '@libp2p/peer-id';
import type { Connection } from '@libp2p/interface';
import type { Logger } from '#core/obs/logger.ts';
import { appError } from '#shared/errors.ts';
import { err, ok } from '#shared/result.ts';
import type { Result } from '#shared/result.ts';
import { peerIdText } from '#shared/units.ts';
import type { PeerIdText } from '#shared/units.ts';
import { Conversations } from './conversations.ts';
import { findProviders, provide } from './dht.ts';
import { Gossip } from './gossip.ts';
import { createGater } from './node/gater.ts';
import { startNode } from './node/libp2p-node.ts';
import type { Node } from './node/libp2p-node.ts';
import { ConnectionMonitor } from './node/monitor.ts';
import { isPrivateAddress, parseBootstrap } from './node/options.ts';
import type { BootstrapPeer } from './node/options.ts';
import { ranked, viaOf } from './node/paths.ts';
import { Redialer } from './node/redial.ts';
import { Opener } from './opener.ts';
import type { PeerKey } from './peer-key.ts';
import { Scores } from './peers/scores.ts';
import type { ScoreStore } from './peers/scores.ts';
import type { Misdeed, Network, NetworkError, PeerView } from './port.ts';
import { ReachabilityTracker } from './reachability.ts';
import { ReplayCache } from './statements/replay-cache.ts';
import { createStatements } from './statements/statements.ts';

/** All that homes and relays have in common, with nothing defaulted. */
export interface HostOptions {
  readonly role: 'home' | 'relay';
  readonly networkId: string;
  readonly key: PeerKey;
  readonly bootstrap: readonly string[];
  readonly stun: readonly string[];
  readonly listen: readonly string[];
  readonly announce: readonly string[];
  readonly upnp: boolean;
  readonly webrtc: boolean;
  readonly privateAddresses: boolean | undefined;
  readonly scores: ScoreStore | undefined;
  readonly log: Logger;
  readonly now: () => number;
}

type Event = 'peers' | 'reachability';

/** Starts the node and puts the parts around it. */
export async function startHost(options: HostOptions): Promise<Result<Network, NetworkError>> {
  const bootstrap = parseBootstrap(options.bootstrap);
  if (!bootstrap.ok) return bootstrap;
  const privateAddresses =
    options.privateAddresses ?? bootstrap.value.some((peer) => peer.addresses.some(isPrivateAddress));
  // The node exists only after its gater, which asks the scores, which on a ban close the node's connections.
  let closeConnections: (peer: PeerIdText) => void = () => undefined;
  const scores = new Scores({
    now: options.now,
    store: options.scores,
    onBan: (peer, untilMs) => {
      options.log.warn({ peer, until: new Date(untilMs).toISOString() }, 'banned a peer');
      closeConnections(peer);
    },
  });
  try {
    const gater = createGater({ isBanned: (peer) => scores.isBanned(peer), dialPrivate: privateAddresses });
    const node = await startNode({ ...options, gater, sharePrivate: privateAddresses });
    closeConnections = (peer) => void hangUp(node, peer);
    return ok(new Host(node, options, bootstrap.value, scores));
  } catch (cause) {
    if (cause instanceof Error && cause.name === 'UnsupportedListenAddressesError') return err(cannotListen(options));
    throw cause;
  }
}

class Host implements Network {
  readonly peerId: PeerIdText;
  readonly #node: Node;
  readonly #options: HostOptions;
  readonly #scores: Scores;
  readonly #conversations: Conversations;
  readonly #opener: Opener;
  readonly #gossip: Gossip;
  readonly #monitor: ConnectionMonitor;
  readonly #redialer: Redialer;
  readonly #reachability: ReachabilityTracker;
  readonly #statements: ReturnType<typeof createStatements>;
  readonly #seen = new ReplayCache();
  readonly #listeners: Readonly<Record<Event, Set<() => void>>> = { peers: new Set(), reachability: new Set() };
  #stopping: Promise<void> | undefined;

  constructor(node: Node, options: HostOptions, bootstrap: readonly BootstrapPeer[], scores: Scores) {
    const { log, networkId, key, now } = options;
    const report = (peer: PeerIdText, misdeed: Misdeed): void => this.report(peer, misdeed);
    const isBanned = (peer: PeerIdText): boolean => scores.isBanned(peer);
    this.peerId = peerIdText(node.peerId.toString());
    this.#node = node;
    this.#options = options;
    this.#scores = scores;
    this.#statements = createStatements({ networkId, key, now });
    this.#conversations = new Conversations({ node, report, log });
    this.#opener = new Opener(node, this.#conversations);
    const { pubsub } = node.services;
    this.#gossip = new Gossip({ pubsub, networkId, statements: this.#statements, report, isBanned, log, now });
    this.#monitor = new ConnectionMonitor({
      node,
      heardSince: (connection, sinceMs) => this.#conversations.heardSince(connection, sinceMs),
      measured: () => this.#tell('peers'),
    });
    this.#redialer = new Redialer({ node, peers: bootstrap, log, failed: () => this.#reachability.update() });
    this.#reachability = new ReachabilityTracker({
      situation: () => ({
        connectionCount: node.getConnections().length,
        addresses: node.getMultiaddrs(),
        failedDials: this.#redialer.failures,
        upnp: options.upnp,
      }),
      now,
      changed: () => this.#tell('reachability'),
    });
    this.#start();
  }

  addresses(): readonly string[] {
    return this.#node.getMultiaddrs().map(String);
  }

  peers(): readonly PeerView[] {
    return this.#node.getPeers().flatMap((id) => {
      const connections = ranked(this.#node.getConnections(id));
      const [best] = connections;
      return best === undefined ? [] : [this.#view(peerIdText(id.toString()), best, connections)];
    });
  }

  reachability(): ReturnType<Network['reachability']> {
    return this.#reachability.current;
  }

  async serve(handler: Parameters<Network['serve']>[0]): Promise<void> {
    await this.#conversations.serve(handler);
  }

  async open(...[peer, protocol, options]: Parameters<Network['open']>): ReturnType<Network['open']> {
    if (this.#stopping !== undefined) return err(stopped());
    if (this.#scores.isBanned(peer)) {
      return err(appError('network.banned', `The peer ${peer} is banned for what it did earlier.`, { data: { peer } }));
    }
    return this.#opener.open(peer, protocol, options);
  }

  async publish(...[kind, payload, ttlMs]: Parameters<Network['publish']>): ReturnType<Network['publish']> {
    if (this.#stopping !== undefined) return err(stopped());
    return this.#gossip.publish(kind, payload, ttlMs);
  }

  subscribe(...[kind, listener]: Parameters<Network['subscribe']>): () => void {
    return this.#gossip.subscribe(kind, listener);
  }

  async seal(kind: string, payload: Uint8Array, ttlMs: number): Promise<Uint8Array> {
    return this.#statements.seal(kind, payload, ttlMs);
  }

  async unseal(kind: string, sealed: Uint8Array): ReturnType<Network['unseal']> {
    return this.#statements.unseal(kind, sealed, this.#seen);
  }

  report(peer: PeerIdText, misdeed: Misdeed): void {
    if (peer === this.peerId) return;
    this.#options.log.info({ peer, misdeed }, 'charged a peer');
    this.#scores.report(peer, misdeed);
    this.#tell('peers');
  }

  isBanned(peer: PeerIdText): boolean {
    return this.#scores.isBanned(peer);
  }

  async provide(cid: string): Promise<void> {
    if (this.#stopping === undefined) await provide(this.#node, cid, this.#options.log);
  }

  findProviders(cid: string, signal: AbortSignal): AsyncIterable<PeerIdText> {
    return findProviders(this.#node, cid, signal);
  }

  on(event: Event, listener: () => void): () => void {
    this.#listeners[event].add(listener);
    return () => this.#listeners[event].delete(listener);
  }

  async stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    await this.#stopping;
  }

  #start(): void {
    for (const event of ['connection:open', 'connection:close'] as const) {
      this.#node.addEventListener(event, () => {
        this.#tell('peers');
        this.#reachability.update();
      });
    }
    // A place at a relay comes and goes as a listening address; the peer update follows late, or not at all.
    for (const event of ['self:peer:update', 'transport:listening', 'transport:close'] as const) {
      this.#node.addEventListener(event, () => this.#reachability.update());
    }
    if (this.#options.role === 'relay') this.#gossip.carryForOthers();
    this.#monitor.start();
    this.#redialer.start();
  }

  async #stop(): Promise<void> {
    this.#redialer.stop();
    this.#monitor.stop();
    this.#conversations.abortAll();
    await this.#node.stop();
  }

  #view(peerId: PeerIdText, best: Connection, connections: readonly Connection[]): PeerView {
    return {
      peerId,
      addresses: connections.map((connection) => connection.remoteAddr.toString()),
      via: viaOf(best),
      score: this.#scores.score(peerId),
      connectedAt: Math.min(...connections.map((connection) => connection.timeline.open)),
      rttMs: this.#monitor.rttMs(best),
    };
  }

  #tell(event: Event): void {
    if (this.#stopping !== undefined) return;
    for (const listener of this.#listeners[event]) listener();
  }
}

async function hangUp(node: Node, peer: PeerIdText): Promise<void> {
  // Abort rather than close: a graceful close waits for the very peer that is not trusted.
  for (const connection of node.getConnections(peerIdFromString(peer))) connection.abort(new Error('banned'));
  await node.peerStore.patch(peerIdFromString(peer), { multiaddrs: [] }).catch(() => undefined);
}

function stopped(): NetworkError {
  return appError('network.stopped', 'This node has stopped.');
}

function cannotListen(options: HostOptions): NetworkError {
  const addresses = options.listen.filter((address) => address.includes('/tcp/')).join(', ');
  return appError(
    'network.address_in_use',
    `This node cannot listen on ${addresses}: another program has the port, or the address is not this machine's.`,
    { remedy: 'Stop the other program or choose another port in the settings.', data: { addresses } },
  );
}
