import { appError } from '#shared/errors.ts';
import { err, ok } from '#shared/result.ts';
import type { PeerIdText } from '#shared/units.ts';
import { peerIdText } from '#shared/units.ts';
import type { Conversation, Misdeed, Network, ProtocolHandler } from '#core/network/port.ts';
import { conversationPair } from './conversation-pair.ts';

/**
 * Peers in this process that reach each other by name: real conversations (framing, limits, flow control) over pipes,
 * a DHT that is a list, misdeeds kept to be looked at. Nothing here gossips or signs.
 */
export class MemoryNet {
  readonly providers = new Map<string, PeerIdText[]>();
  readonly #peers = new Map<PeerIdText, MemoryPeer>();

  peer(name: string): MemoryPeer {
    const peer = new MemoryPeer(this, peerIdText(`12D3Koo${name}`));
    this.#peers.set(peer.peerId, peer);
    return peer;
  }

  find(id: PeerIdText): MemoryPeer | undefined {
    return this.#peers.get(id);
  }
}

export class MemoryPeer implements Pick<
  Network,
  'peerId' | 'serve' | 'open' | 'report' | 'isBanned' | 'provide' | 'findProviders'
> {
  readonly peerId: PeerIdText;
  /** What this peer charged others with. */
  readonly reported: { readonly peer: PeerIdText; readonly misdeed: Misdeed }[] = [];
  /** Whom it opened conversations with, in order. */
  readonly opened: PeerIdText[] = [];
  readonly #net: MemoryNet;
  readonly #handlers = new Map<string, ProtocolHandler>();
  readonly #conversations = new Set<Conversation>();
  #alive = true;

  constructor(net: MemoryNet, peerId: PeerIdText) {
    this.#net = net;
    this.peerId = peerId;
  }

  /** The parts that content needs are real; the rest is absent and fails loudly when used. */
  get network(): Network {
    return this as Partial<Network> as Network;
  }

  /** As a crash or a pulled cable would: every conversation breaks, new ones fail. */
  die(): void {
    this.#alive = false;
    for (const conversation of this.#conversations) {
      conversation.abort(appError('network.stream_closed', 'the machine is gone'));
    }
  }

  revive(): void {
    this.#alive = true;
  }

  async serve(handler: ProtocolHandler): Promise<void> {
    this.#handlers.set(handler.protocol, handler);
  }

  async open(peer: PeerIdText, protocol: string): ReturnType<Network['open']> {
    this.opened.push(peer);
    const remote = this.#net.find(peer);
    if (remote === undefined || !remote.#alive) return err(appError('network.unreachable', 'no such peer is up'));
    const handler = remote.#handlers.get(protocol);
    if (handler === undefined) return err(appError('network.protocol_unsupported', 'it does not speak that'));
    const pair = conversationPair({ protocol, localId: this.peerId, remoteId: peer });
    this.#conversations.add(pair.local);
    remote.#conversations.add(pair.remote);
    void handler.handle(pair.remote);
    return ok(pair.local);
  }

  report(peer: PeerIdText, misdeed: Misdeed): void {
    this.reported.push({ peer, misdeed });
  }

  isBanned(): boolean {
    return false;
  }

  async provide(cid: string): Promise<void> {
    const known = this.#net.providers.get(cid) ?? [];
    this.#net.providers.set(cid, [...known, this.peerId]);
  }

  async *findProviders(cid: string): AsyncIterable<PeerIdText> {
    yield* this.#net.providers.get(cid) ?? [];
  }
}
