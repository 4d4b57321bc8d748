import type { PeerKey } from './peer-key.ts';
import type { Logger } from '#core/obs/logger.ts';
import { silentLogger } from '#core/obs/logger.ts';
import type { Result } from '#shared/result.ts';
import type { ScoreStore } from './peers/scores.ts';
import type { Network, NetworkError } from './port.ts';
import { startHost } from './host.ts';

export interface NetworkOptions {
  /** Of the network file; part of every signed statement and every gossip topic. */
  readonly networkId: string;
  readonly key: PeerKey;
  /** Multiaddrs with /p2p/<peer id>. */
  readonly bootstrap: readonly string[];
  /** STUN responders of the network's own relays, "host:port". */
  readonly stun: readonly string[];
  /** Multiaddrs; every interface and a free port by default. */
  readonly listen?: readonly string[];
  /** Told to others instead of what the listeners report. */
  readonly announce?: readonly string[];
  /** Asks the router for a port. Off on loopback: tests and practice must not touch a router. */
  readonly upnp?: boolean;
  readonly webrtc?: boolean;
  /**
   * Dial and share addresses of private networks and loopback. By default only where a bootstrap peer has such an
   * address itself.
   */
  readonly privateAddresses?: boolean;
  readonly scores?: ScoreStore;
  readonly log?: Logger;
  /** Unix milliseconds. */
  readonly now?: () => number;
}

export const DEFAULT_LISTEN = ['/ip4/0.0.0.0/tcp/0', '/ip6/::/tcp/0', '/ip4/0.0.0.0/tcp/0/ws'] as const;

/** Starts a home node. It listens at once and finds the network by itself, however long that takes. */
export async function createNetwork(options: NetworkOptions): Promise<Result<Network, NetworkError>> {
  const webrtc = options.webrtc ?? true;
  // A bare /p2p-circuit asks whichever relay is there, again after each loss; naming one relay would fail for good.
  const listen = [...(options.listen ?? DEFAULT_LISTEN), '/p2p-circuit', ...(webrtc ? ['/webrtc'] : [])];
  return startHost({
    role: 'home',
    networkId: options.networkId,
    key: options.key,
    bootstrap: options.bootstrap,
    stun: options.stun,
    listen,
    announce: options.announce ?? [],
    upnp: options.upnp ?? true,
    webrtc,
    privateAddresses: options.privateAddresses,
    scores: options.scores,
    log: options.log ?? silentLogger,
    now: options.now ?? Date.now,
  });
}
