import { createNetwork } from '#core/network/create-network.ts';
import type { NetworkOptions } from '#core/network/create-network.ts';
import { generatePeerKey } from '#core/network/peer-key.ts';
import type { PeerKey } from '#core/network/peer-key.ts';
import type { Network, PeerView } from '#core/network/port.ts';
import { createRelay } from '#core/network/relay/create-relay.ts';
import type { Relay, RelayOptions } from '#core/network/relay/create-relay.ts';
import type { Result } from '#shared/result.ts';

export const TEST_NETWORK = 'test-net';
const LOOPBACK = ['/ip4/127.0.0.1/tcp/0', '/ip4/127.0.0.1/tcp/0/ws'];

function orThrow<T>(result: Result<T, unknown>): T {
  if (!result.ok) throw new Error(JSON.stringify(result.error));
  return result.value;
}

/** Starts relays and homes on loopback and stops all of them at the end. */
export class TestNodes {
  readonly #stops: (() => Promise<void>)[] = [];

  async relay(options: Partial<RelayOptions> = {}): Promise<Relay & { readonly key: PeerKey }> {
    const key = options.key ?? (await generatePeerKey());
    const relay = orThrow(await createRelay({ networkId: TEST_NETWORK, listen: LOOPBACK, ...options, key }));
    this.#stops.push(() => relay.stop());
    return { ...relay, key };
  }

  /** A home that knows these relays. */
  async home(relays: readonly Relay[], options: Partial<NetworkOptions> = {}): Promise<Network> {
    const network = orThrow(
      await createNetwork({
        networkId: TEST_NETWORK,
        key: options.key ?? (await generatePeerKey()),
        bootstrap: relays.flatMap((relay) => relay.network.addresses()),
        stun: [],
        listen: LOOPBACK,
        upnp: false,
        webrtc: false,
        ...options,
      }),
    );
    this.#stops.push(() => network.stop());
    return network;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#stops.splice(0).map((stop) => stop()));
  }
}

/** Resolves with the first value that is not undefined, asked at once and after each change of the network's peers. */
export async function eventually<T>(network: Network, ask: () => T | undefined): Promise<T> {
  const now = ask();
  if (now !== undefined) return now;
  return new Promise((resolve) => {
    const offs = (['peers', 'reachability'] as const).map((event) =>
      network.on(event, () => {
        const value = ask();
        if (value === undefined) return;
        for (const off of offs) off();
        resolve(value);
      }),
    );
  });
}

export function peerOf(network: Network, other: Network): PeerView | undefined {
  return network.peers().find((peer) => peer.peerId === other.peerId);
}
