import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { PeerInfo, PeerRouting } from '@libp2p/interface';
import type { RandomWalk } from '@libp2p/interface-internal';
import { LIMITS } from '#shared/protocol/limits.ts';

/**
 * The same components with a random walk that takes its time. autonat and the search for relays walk the DHT as
 * fast as it answers until they are content; in a small network, or where no relay has room, that is for ever:
 * 10 to 20 % of a CPU for an idle node.
 */
export function withSlowWalk<Components extends object>(components: Components): Components {
  return new Proxy(components, {
    get: (target, name): unknown => {
      if (name !== 'randomWalk') return Reflect.get(target, name);
      // libp2p hands every part all components; the types only name those that a part asks for.
      const { peerRouting } = target as unknown as { readonly peerRouting: PeerRouting };
      return slowWalk(peerRouting);
    },
  });
}

function slowWalk(routing: PeerRouting): RandomWalk {
  return {
    async *walk(options = {}): AsyncGenerator<PeerInfo> {
      for (;;) {
        yield* routing.getClosestPeers(randomBytes(32), options);
        await delay(LIMITS.network.walkPauseMs, undefined, { signal: options.signal, ref: false });
      }
    },
  };
}
