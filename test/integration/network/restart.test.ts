import { afterEach, describe, expect, it } from 'vitest';
import type { Network } from '#core/network/port.ts';
import { eventually, peerOf, TestNodes } from '#support/network-nodes.ts';

describe('a relay that goes away and comes back', () => {
  const nodes = new TestNodes();
  afterEach(async () => nodes.stop());
  const reserved = (home: Network) => () =>
    home.addresses().some((address) => address.includes('p2p-circuit')) ? true : undefined;

  it.each([
    ['at once', 0],
    ['after longer than libp2p keeps trying a place', 4_000],
  ])('is found again %s, and gives its place back', async (_, pauseMs) => {
    const first = await nodes.relay();
    const home = await nodes.home([first]);
    await eventually(home, reserved(home));
    const listen = first.network.addresses().map((address) => address.replace(/\/p2p\/.*/, ''));
    await first.stop();
    await eventually(home, () => (home.peers().length === 0 ? true : undefined));
    await eventually(home, () => (home.reachability().state === 'offline' ? true : undefined));
    expect(home.reachability().remedy).toContain('internet connection');
    // The relay being down for a while is what is tested.
    await new Promise((resolve) => setTimeout(resolve, pauseMs));

    const second = await nodes.relay({ key: first.key, listen });
    await eventually(home, () => peerOf(home, second.network));
    await eventually(home, reserved(home));
    expect(home.reachability().state).toBe('private');
  });
});
