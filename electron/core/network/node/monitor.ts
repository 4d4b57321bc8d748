import { byteStream } from '@libp2p/utils';
import type { Connection } from '@libp2p/interface';
import { randomBytes } from 'node:crypto';
import { LIMITS } from '#shared/protocol/limits.ts';
import type { Node } from './libp2p-node.ts';

const PING_PROTOCOL = '/ipfs/ping/1.0.0';
const PING_BYTES = 32;

/**
 * Measures round trips and finds dead connections. libp2p's own monitor kills connections whose ping is slow,
 * which on a busy home uplink is every ping; this one needs several misses in a row, and any byte of a
 * conversation heard meanwhile counts as life.
 */
export class ConnectionMonitor {
  readonly #node: Node;
  readonly #heardSince: (connection: Connection, sinceMs: number) => boolean;
  readonly #measured: () => void;
  readonly #rtts = new WeakMap<Connection, number>();
  readonly #misses = new WeakMap<Connection, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: {
    readonly node: Node;
    /** Whether a conversation over the connection received bytes since then (performance.now()). */
    readonly heardSince: (connection: Connection, sinceMs: number) => boolean;
    /** A round trip was measured. */
    readonly measured: () => void;
  }) {
    this.#measured = options.measured;
    this.#node = options.node;
    this.#heardSince = options.heardSince;
  }

  start(): void {
    this.#node.addEventListener('connection:open', (event) => void this.#check(event.detail));
    this.#timer = setInterval(() => {
      for (const connection of this.#node.getConnections()) void this.#check(connection);
    }, LIMITS.network.pingEveryMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Last measured round trip in milliseconds. */
  rttMs(connection: Connection): number | undefined {
    return this.#rtts.get(connection);
  }

  async #check(connection: Connection): Promise<void> {
    // A relay counts every byte of a limited connection and closes it by itself.
    if (connection.limits !== undefined || connection.status !== 'open') return;
    const startedMs = performance.now();
    const rttMs = await pingOnce(connection);
    if (rttMs !== undefined) {
      this.#rtts.set(connection, rttMs);
      this.#misses.delete(connection);
      this.#measured();
      return;
    }
    if (this.#heardSince(connection, startedMs)) return;
    const misses = (this.#misses.get(connection) ?? 0) + 1;
    this.#misses.set(connection, misses);
    if (misses >= LIMITS.network.missedPings && connection.status === 'open') {
      connection.abort(new Error('the peer no longer answers'));
    }
  }
}

/** Round trip in milliseconds, or undefined where no right answer came in time. */
async function pingOnce(connection: Connection): Promise<number | undefined> {
  const signal = AbortSignal.timeout(LIMITS.network.pingMs);
  try {
    const stream = await connection.newStream(PING_PROTOCOL, { signal });
    try {
      const bytes = byteStream(stream);
      const sent = randomBytes(PING_BYTES);
      const startedMs = performance.now();
      await bytes.write(sent, { signal });
      const echoed = await bytes.read({ bytes: PING_BYTES, signal });
      return sent.equals(echoed.subarray()) ? performance.now() - startedMs : undefined;
    } finally {
      // A signal does not end a stream, and a graceful close waits for the peer.
      stream.abort(new Error('ping is over'));
    }
  } catch {
    return undefined;
  }
}
