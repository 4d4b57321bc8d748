import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ConnectionMonitor } from '#core/network/node/monitor.ts';
import type { Node } from '#core/network/node/libp2p-node.ts';
import { withSlowWalk } from '#core/network/node/slow-walk.ts';
import { LIMITS } from '#shared/protocol/limits.ts';

describe('the connection monitor', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  /** A connection on which no ping gets through. */
  function watch(options: { readonly heard: boolean; readonly limits?: object }) {
    const abort = vi.fn<() => void>();
    const newStream = vi.fn<() => Promise<never>>(async () => Promise.reject(new Error('dead')));
    const connection = { status: 'open', limits: options.limits, newStream, abort };
    // Only what the monitor asks of a node.
    const node = { addEventListener: () => undefined, getConnections: () => [connection] } as unknown as Node;
    const monitor = new ConnectionMonitor({ node, heardSince: () => options.heard, measured: () => undefined });
    monitor.start();
    const rounds = async (count: number): Promise<void> => {
      for (let round = 0; round < count; round += 1) await vi.advanceTimersByTimeAsync(LIMITS.network.pingEveryMs);
    };
    return { monitor, abort, newStream, rounds };
  }

  it('ends a connection that misses pings in a row', async () => {
    const { monitor, abort, rounds } = watch({ heard: false });
    await rounds(LIMITS.network.missedPings - 1);
    expect(abort).not.toHaveBeenCalled();
    await rounds(1);
    expect(abort).toHaveBeenCalledOnce();
    monitor.stop();
  });

  it('spares a busy one whose pings are merely late', async () => {
    const { monitor, abort, newStream, rounds } = watch({ heard: true });
    await rounds(10);
    expect(newStream).toHaveBeenCalledTimes(10);
    expect(abort).not.toHaveBeenCalled();
    monitor.stop();
  });

  it('does not spend a relayed connection’s bytes on pings', async () => {
    const { monitor, newStream, rounds } = watch({ heard: false, limits: { seconds: 120 } });
    await rounds(5);
    expect(newStream).not.toHaveBeenCalled();
    monitor.stop();
  });
});

describe('a slow walk', () => {
  it('pauses between two queries, also when the DHT knows nobody', async () => {
    let queries = 0;
    const fast = vi.fn<(options: { readonly signal: AbortSignal }) => AsyncIterable<unknown>>();
    const components = withSlowWalk({
      randomWalk: { walk: fast },
      peerRouting: {
        // eslint-disable-next-line require-yield -- a DHT without anybody
        async *getClosestPeers() {
          queries += 1;
        },
      },
      logger: 'kept',
    });
    const stop = new AbortController();
    const walking = (async () => {
      for await (const _ of components.randomWalk.walk({ signal: stop.signal })) {
        throw new Error('nobody is there');
      }
    })();
    await new Promise((resolve) => setTimeout(resolve, 50));
    stop.abort();
    await expect(walking).rejects.toThrow(/abort/);
    expect(queries).toBe(1);
    expect(fast).not.toHaveBeenCalled();
    expect(components.logger).toBe('kept');
  });
});
