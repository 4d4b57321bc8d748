import type { Logger } from '#core/obs/logger.ts';
import { silentLogger } from '#core/obs/logger.ts';
import { ok } from '#shared/result.ts';
import type { Result } from '#shared/result.ts';
import { startHost } from '../host.ts';
import type { PeerKey } from '../peer-key.ts';
import type { ScoreStore } from '../peers/scores.ts';
import type { Network, NetworkError } from '../port.ts';
import { startStun } from './stun.ts';

export interface RelayOptions {
  readonly networkId: string;
  readonly key: PeerKey;
  /** Multiaddrs with fixed ports: homes find the relay by them. */
  readonly listen: readonly string[];
  /** Public multiaddrs. A relay on a public address does not find out by itself: without these it advertises none. */
  readonly announce?: readonly string[];
  /** Other relays of the network. */
  readonly bootstrap?: readonly string[];
  /** UDP; port 0 picks a free one. Absent: no STUN responder here. */
  readonly stun?: { readonly port: number; readonly host?: string };
  /** Practice and local networks: share and dial private addresses. By default when it announces no public one. */
  readonly privateAddresses?: boolean;
  readonly scores?: ScoreStore;
  readonly log?: Logger;
  readonly now?: () => number;
}

export interface Relay {
  readonly network: Network;
  /** UDP port of the STUN responder, where there is one. */
  readonly stunPort: number | undefined;
  stop(): Promise<void>;
}

/**
 * A meeting point: first address of a network, DHT server, circuit relay for signalling with tight limits,
 * autonat server and STUN responder. It sees who is there and forwards small messages; it never carries tensors.
 */
export async function createRelay(options: RelayOptions): Promise<Result<Relay, NetworkError>> {
  const stun = options.stun === undefined ? undefined : await startStun(options.stun);
  if (stun?.ok === false) return stun;
  const host = await startHost({
    role: 'relay',
    networkId: options.networkId,
    key: options.key,
    bootstrap: options.bootstrap ?? [],
    stun: [],
    listen: options.listen,
    announce: options.announce ?? [],
    upnp: false,
    webrtc: false,
    privateAddresses: options.privateAddresses ?? (options.announce ?? []).length === 0,
    scores: options.scores,
    log: options.log ?? silentLogger,
    now: options.now ?? Date.now,
  });
  if (!host.ok) {
    await stun?.value.stop();
    return host;
  }
  return ok({
    network: host.value,
    stunPort: stun?.value.port,
    stop: async () => {
      await Promise.all([host.value.stop(), stun?.value.stop()]);
    },
  });
}
