import type { AppError } from '#shared/errors.ts';
import type { Result } from '#shared/result.ts';
import type { PeerIdText } from '#shared/units.ts';

export type NetworkErrorCode =
  | 'network.unreachable'
  | 'network.timeout'
  | 'network.protocol_unsupported'
  | 'network.frame_too_large'
  | 'network.frame_invalid'
  | 'network.stream_closed'
  | 'network.too_many'
  | 'network.banned'
  | 'network.cancelled'
  | 'network.statement_invalid'
  | 'network.statement_expired'
  | 'network.statement_replayed'
  | 'network.address_in_use'
  | 'network.stopped';
export type NetworkError = AppError<NetworkErrorCode>;

/**
 * One bidirectional conversation with a peer in frames. Control frames carry protobuf, at most 64 KiB; data
 * frames raw bytes, at most 1 MiB. Writes wait for the other side (back-pressure); a breach of a limit or of
 * a deadline aborts the stream, and every later call answers network.stream_closed or the cause.
 */
export interface Conversation {
  readonly remotePeer: PeerIdText;
  /** The version that was agreed on, e.g. /hearth/work/1.0: the peer may speak an older minor. */
  readonly protocol: string;
  /**
   * Waits while the peer or the transport takes no more. Frames go out in the order of the calls; the body must
   * not be changed afterwards. `signal` withdraws a frame that still waits; the conversation goes on.
   */
  send(frame: OutgoingFrame, signal?: AbortSignal): Promise<Result<void, NetworkError>>;
  /**
   * Next frame, its body in memory of its own; undefined at a clean end. One caller at a time. `timeoutMs` bounds
   * the silence, not the frame's size, and ends the conversation; `signal` only stops the waiting.
   */
  receive(options: {
    readonly timeoutMs: number;
    readonly signal?: AbortSignal;
  }): Promise<Result<Frame | undefined, NetworkError>>;
  /** Sends what waits, then ends both directions: what the peer still says is dropped. */
  close(): Promise<void>;
  /** Ends the conversation at once; the peer sees a reset. */
  abort(reason: AppError): void;
}

export type Frame =
  { readonly kind: 'control'; readonly body: Uint8Array } | { readonly kind: 'data'; readonly body: Uint8Array };
export type OutgoingFrame = Frame;

export interface ProtocolHandler {
  /** /hearth/<name>/<major>.<minor> */
  readonly protocol: string;
  readonly maxInboundStreams: number;
  /** Over a relayed connection too? Only small control protocols say yes. */
  readonly allowRelayed: boolean;
  handle(conversation: Conversation): Promise<void>;
}

/** A verified signed statement: who said it, and the payload's bytes to be parsed by its schema. */
export interface VerifiedStatement {
  readonly sender: PeerIdText;
  readonly payload: Uint8Array;
  /** Unix milliseconds. */
  readonly expiresAt: number;
}

/** Faults a peer can be charged with; the network turns them into a score and a ban that is forgotten after a doubling time. */
export type Misdeed = 'invalid_message' | 'wrong_bytes' | 'broken_lease' | 'wrong_result' | 'bad_voucher' | 'too_much';

export interface PeerView {
  readonly peerId: PeerIdText;
  readonly addresses: readonly string[];
  readonly via: 'direct' | 'relayed' | 'webrtc';
  readonly score: number;
  readonly connectedAt: number;
  readonly rttMs: number | undefined;
}

export interface Reachability {
  readonly state: 'unknown' | 'public' | 'private' | 'offline';
  /** One sentence why, one what the owner can do. */
  readonly reason: string;
  readonly remedy: string | undefined;
  readonly since: number;
}

export interface OpenOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** Where the peer may be dialled, when the caller was told; else it is looked up. */
  readonly addresses?: readonly string[];
  /** True for small control protocols that may run through a relay while, or because, there is no direct connection. */
  readonly allowRelayed?: boolean;
}

/** The peer-to-peer side of a node. */
export interface Network {
  readonly peerId: PeerIdText;
  addresses(): readonly string[];
  peers(): readonly PeerView[];
  reachability(): Reachability;
  /** Answers to this minor version and the older ones of its major. */
  serve(handler: ProtocolHandler): Promise<void>;
  /** Opens a conversation on a live, preferably direct connection; dials when there is none. */
  open(peer: PeerIdText, protocol: string, options: OpenOptions): Promise<Result<Conversation, NetworkError>>;
  /** Gossip. `kind` names the statement ('offer', ...). The payload is signed, sent, and verified on arrival. */
  publish(kind: string, payload: Uint8Array, ttlMs: number): Promise<Result<void, NetworkError>>;
  subscribe(kind: string, listener: (statement: VerifiedStatement) => void): () => void;
  /** Signed statement outside gossip (lease, result): sealed bytes to carry in a frame. */
  seal(kind: string, payload: Uint8Array, ttlMs: number): Promise<Uint8Array>;
  /** Checks signature, network id, kind, expiry and nonce (replay). */
  unseal(kind: string, sealed: Uint8Array): Promise<Result<VerifiedStatement, NetworkError>>;
  report(peer: PeerIdText, misdeed: Misdeed): void;
  isBanned(peer: PeerIdText): boolean;
  /** DHT: says that this node has the content; finds nodes that have. */
  provide(cid: string): Promise<void>;
  findProviders(cid: string, signal: AbortSignal): AsyncIterable<PeerIdText>;
  on(event: 'peers' | 'reachability', listener: () => void): () => void;
  stop(): Promise<void>;
}
