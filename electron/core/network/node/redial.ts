import { peerIdFromString } from '@libp2p/peer-id';
import type { Logger } from '#core/obs/logger.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import type { Node } from './libp2p-node.ts';
import type { BootstrapPeer } from './options.ts';

/**
 * Keeps a connection to every bootstrap peer: dialled at once, again after a loss, with a back-off that doubles
 * and jitter, so that a relay that comes back is not met by all of its nodes in the same second. (libp2p's own
 * bootstrap dials once; an unlucky node would stay alone.)
 */
export class Redialer {
  readonly #node: Node;
  readonly #peers: readonly BootstrapPeer[];
  readonly #log: Logger;
  readonly #random: () => number;
  readonly #failed: () => void;
  readonly #attempts = new Map<string, number>();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  readonly #stopped = new AbortController();
  #failures = 0;

  constructor(options: {
    readonly node: Node;
    readonly peers: readonly BootstrapPeer[];
    readonly log: Logger;
    /** A dial failed; `failures` tells how many in a row. */
    readonly failed: () => void;
    readonly random?: () => number;
  }) {
    this.#node = options.node;
    this.#peers = options.peers;
    this.#log = options.log;
    this.#failed = options.failed;
    this.#random = options.random ?? Math.random;
  }

  /** Failed dials since the last one that succeeded. */
  get failures(): number {
    return this.#failures;
  }

  start(): void {
    this.#node.addEventListener('peer:disconnect', (event) => {
      const lost = this.#peers.find((peer) => peer.peerId === event.detail.toString());
      if (lost !== undefined) this.#later(lost);
    });
    for (const peer of this.#peers) void this.#dial(peer);
  }

  stop(): void {
    this.#stopped.abort();
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  #later(peer: BootstrapPeer): void {
    if (this.#stopped.signal.aborted || this.#timers.has(peer.peerId)) return;
    const { redialMs, longestRedialMs } = LIMITS.network;
    const attempt = this.#attempts.get(peer.peerId) ?? 0;
    this.#attempts.set(peer.peerId, attempt + 1);
    const pauseMs = Math.min(redialMs * 2 ** attempt, longestRedialMs);
    const timer = setTimeout(
      () => {
        this.#timers.delete(peer.peerId);
        void this.#dial(peer);
      },
      pauseMs * (1 + this.#random()),
    );
    this.#timers.set(peer.peerId, timer);
  }

  async #dial(peer: BootstrapPeer): Promise<void> {
    const id = peerIdFromString(peer.peerId);
    if (id.equals(this.#node.peerId)) return;
    try {
      const signal = AbortSignal.any([this.#stopped.signal, AbortSignal.timeout(LIMITS.network.dialMs)]);
      await this.#node.dial([...peer.addresses], { signal });
      // Above ordinary peers when connections have to be closed.
      await this.#node.peerStore.merge(id, { tags: { bootstrap: { value: 50 } } });
      this.#attempts.delete(peer.peerId);
      this.#failures = 0;
      if (this.#node.getConnections(id).length === 0) this.#later(peer);
    } catch (cause) {
      if (this.#stopped.signal.aborted) return;
      this.#failures += 1;
      this.#log.debug({ peer: peer.peerId, cause: String(cause) }, 'bootstrap peer not reached');
      this.#failed();
      this.#later(peer);
    }
  }
}
