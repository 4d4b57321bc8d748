import { peerIdFromString } from '@libp2p/peer-id';
import type { Connection, IdentifyResult, PeerId } from '@libp2p/interface';
import type { Multiaddr } from '@multiformats/multiaddr';
import { appError } from '#shared/errors.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import { err, ok } from '#shared/result.ts';
import type { Result } from '#shared/result.ts';
import type { PeerIdText } from '#shared/units.ts';
import type { Conversations } from './conversations.ts';
import { cancelled, timedOut } from './errors.ts';
import { addressesOf, directAddressesOf } from './node/addresses.ts';
import type { Node } from './node/libp2p-node.ts';
import { ranked, viaOf } from './node/paths.ts';
import type { Conversation, NetworkError, OpenOptions } from './port.ts';
import { spokenBy, unsupported } from './protocol-id.ts';

type Opened = Result<Conversation, NetworkError>;
/** 'next' where this connection did not serve and another may. */
type Attempt = Opened | 'next';

interface Request {
  readonly peer: PeerIdText;
  readonly id: PeerId;
  readonly protocol: string;
  readonly options: OpenOptions;
  /** Deadline and the caller's signal together. */
  readonly signal: AbortSignal;
}

/** A dial may end in a connection that dies before it is used; once more is enough to tell bad luck from a dead peer. */
const DIALS = 2;

/**
 * Opens conversations. libp2p picks any connection to a peer, and a dead WebRTC one keeps attracting streams for
 * many seconds; here the connection is chosen, tried for a bounded time and given up when nothing comes back.
 */
export class Opener {
  readonly #node: Node;
  readonly #conversations: Conversations;

  constructor(node: Node, conversations: Conversations) {
    this.#node = node;
    this.#conversations = conversations;
  }

  async open(peer: PeerIdText, protocol: string, options: OpenOptions): Promise<Opened> {
    const id = parsePeerId(peer);
    if (id === undefined) return err(unreachable(peer, 'this is not a peer id'));
    if (id.equals(this.#node.peerId)) return err(unreachable(peer, 'it is this node itself'));
    const deadline = AbortSignal.timeout(options.timeoutMs);
    const signal = options.signal === undefined ? deadline : AbortSignal.any([deadline, options.signal]);
    const request = { peer, id, protocol, options, signal };
    for (let dials = 0; ; dials += 1) {
      const opened = await this.#overLive(request);
      if (opened !== 'next') return opened;
      if (dials === DIALS) return err(unreachable(peer, 'its connections do not carry anything'));
      const failure = await this.#connect(request);
      if (failure !== undefined) return err(failure);
    }
  }

  async #overLive(request: Request): Promise<Attempt> {
    for (const connection of this.#usable(request)) {
      const attempt = await this.#negotiate(request, connection);
      if (attempt !== 'next') return attempt;
    }
    return 'next';
  }

  #usable(request: Request): Connection[] {
    const open = ranked(this.#node.getConnections(request.id));
    return request.options.allowRelayed === true ? open : open.filter((connection) => viaOf(connection) !== 'relayed');
  }

  async #negotiate(request: Request, connection: Connection): Promise<Attempt> {
    const { protocol, options, signal } = request;
    const startedMs = performance.now();
    const slow = AbortSignal.timeout(LIMITS.network.negotiateMs);
    try {
      const stream = await connection.newStream([...spokenBy(protocol)], {
        signal: AbortSignal.any([signal, slow]),
        runOnLimitedConnection: options.allowRelayed === true,
        maxOutboundStreams: LIMITS.network.streamsPerConnection,
      });
      return ok(this.#conversations.wrap(stream, connection));
    } catch (cause) {
      if (signal.aborted) return err(givenUp(request));
      const name = cause instanceof Error ? cause.name : '';
      if (name === 'UnsupportedProtocolError') return err(unsupported(protocol, await this.#protocolsOf(request)));
      if (name === 'TooManyOutboundProtocolStreamsError') return err(tooMany(protocol));
      // Nothing at all came back: dead, unless a transfer over it is merely keeping the line busy.
      if (slow.aborted && !this.#conversations.heardSince(connection, startedMs)) {
        connection.abort(new Error('the connection no longer answers'));
      }
      return 'next';
    }
  }

  /** What identify told of the peer, for the sentence that says why there is no common version. */
  async #protocolsOf({ id }: Request): Promise<readonly string[]> {
    try {
      return (await this.#node.peerStore.get(id)).protocols;
    } catch {
      return [];
    }
  }

  /** Makes a usable connection, or answers why there is none. */
  async #connect(request: Request): Promise<NetworkError | undefined> {
    const { signal, peer } = request;
    if (signal.aborted) return givenUp(request);
    const upgrade = this.#nextUsable(request);
    try {
      const addresses = await addressesOf(this.#node, request.id, request.options.addresses ?? [], signal);
      if (addresses.length === 0) return unreachable(peer, 'nobody knows an address of it');
      const connection = await this.#dial(request.id, addresses, signal);
      if (request.options.allowRelayed === true || viaOf(connection) !== 'relayed') return undefined;
      await Promise.race([upgrade.done, this.#upgrade(request, connection)]);
      return undefined;
    } catch (cause) {
      if (!signal.aborted) return unreachable(peer, describe(cause));
      return this.#relayedOnly(request) ? onlyRelayed(peer) : givenUp(request);
    } finally {
      upgrade.stop();
    }
  }

  async #dial(id: PeerId, addresses: readonly Multiaddr[], signal: AbortSignal): Promise<Connection> {
    // With a relayed connection libp2p would answer that one instead of dialling.
    const force = this.#node.getConnections(id).length > 0;
    return this.#node.dial([...addresses], { signal, force });
  }

  /**
   * Over a relayed connection both sides tell each other their addresses (identify) and try to connect directly
   * (dcutr, from the other side); this side tries what it was told. Settles only on success.
   */
  async #upgrade({ id, signal }: Request, relayed: Connection): Promise<void> {
    await this.#identified(relayed, signal);
    const addresses = await directAddressesOf(this.#node, id);
    if (addresses.length > 0) {
      try {
        await this.#dial(id, addresses, signal);
        return;
      } catch {
        // The other side may still come through to us.
      }
    }
    await new Promise<never>(() => undefined);
  }

  async #identified(connection: Connection, signal: AbortSignal): Promise<void> {
    if ((await directAddressesOf(this.#node, connection.remotePeer)).length > 0) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#node.removeEventListener('peer:identify', onIdentify);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const onIdentify = (event: CustomEvent<IdentifyResult>): void => {
        if (event.detail.peerId.equals(connection.remotePeer)) done();
      };
      this.#node.addEventListener('peer:identify', onIdentify);
      signal.addEventListener('abort', done, { once: true });
    });
  }

  #relayedOnly({ id }: Request): boolean {
    const open = ranked(this.#node.getConnections(id));
    return open.length > 0 && open.every((connection) => viaOf(connection) === 'relayed');
  }

  /** Resolves when a connection opens that the request may use; rejects when its time is over. */
  #nextUsable({ id, signal }: Request): { readonly done: Promise<void>; readonly stop: () => void } {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // Not every path waits for it.
    promise.catch(() => undefined);
    const onOpen = (event: CustomEvent<Connection>): void => {
      if (event.detail.remotePeer.equals(id) && viaOf(event.detail) !== 'relayed') resolve();
    };
    const onAbort = (): void => reject(new Error('the time is over'));
    this.#node.addEventListener('connection:open', onOpen);
    signal.addEventListener('abort', onAbort, { once: true });
    const stop = (): void => {
      this.#node.removeEventListener('connection:open', onOpen);
      signal.removeEventListener('abort', onAbort);
    };
    return { done: promise, stop };
  }
}

function parsePeerId(text: string): PeerId | undefined {
  try {
    return peerIdFromString(text);
  } catch {
    return undefined;
  }
}

function describe(cause: unknown): string {
  const name = cause instanceof Error ? cause.name : '';
  if (name === 'DialDeniedError') return 'its addresses are private ones of another network';
  if (name === 'NoValidAddressesError') return 'none of its addresses can be dialled from here';
  return 'none of its addresses answers';
}

function givenUp({ options, signal }: Request): NetworkError {
  if (options.signal?.aborted === true && signal.aborted) return cancelled('Opening a conversation');
  return timedOut('Opening a conversation', options.timeoutMs);
}

function unreachable(peer: string, why: string): NetworkError {
  return appError('network.unreachable', `The peer ${peer} cannot be reached: ${why}.`, { data: { peer } });
}

function onlyRelayed(peer: string): NetworkError {
  return appError(
    'network.unreachable',
    `The peer ${peer} is only reached through a relay, too narrow for this work.`,
    {
      remedy: "A direct connection needs one of the two routers to cooperate: allow UPnP or forward this node's port.",
      data: { peer },
    },
  );
}

function tooMany(protocol: string): NetworkError {
  return appError('network.too_many', `Too many conversations of ${protocol} with this peer are open already.`, {
    data: { protocol, limit: LIMITS.network.streamsPerConnection },
  });
}
