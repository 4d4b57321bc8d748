import { multiaddr } from '@multiformats/multiaddr';
import { describe, expect, it } from 'vitest';
import { judge, ReachabilityTracker } from '#core/network/reachability.ts';
import type { Situation } from '#core/network/reachability.ts';

const RELAYED = '/ip4/198.51.100.1/tcp/4001/p2p/16Uiu2HAmQFPv5134Jb9q6TSqxgPo5rGaL7c42GhmZm7HXiAgFDcc/p2p-circuit';
const situation = (change: Partial<Omit<Situation, 'addresses'>> = {}, ...addresses: string[]): Situation => ({
  connectionCount: 1,
  failedDials: 0,
  upnp: true,
  ...change,
  addresses: addresses.map((address) => multiaddr(address)),
});

describe('reachability', () => {
  it('is unknown while the first dial is under way', () => {
    expect(judge(situation({ connectionCount: 0 })).state).toBe('unknown');
  });

  it('is offline when nobody answered, and says what to check', () => {
    const verdict = judge(situation({ connectionCount: 0, failedDials: 1 }, '/ip4/8.8.8.8/tcp/1'));
    expect(verdict).toMatchObject({ state: 'offline', remedy: expect.stringContaining('internet connection') });
  });

  it('is public with a verified address outside', () => {
    const verdict = judge(situation({}, '/ip4/192.168.1.2/tcp/4001', '/ip4/8.8.4.4/tcp/4001'));
    expect(verdict).toMatchObject({ state: 'public', reason: expect.stringContaining('8.8.4.4') });
  });

  it('is private behind a router, whatever public address its relay has', () => {
    const verdict = judge(situation({ upnp: false }, '/ip4/192.168.1.2/tcp/4001', RELAYED));
    expect(verdict).toMatchObject({ state: 'private', remedy: expect.stringContaining('UPnP') });
  });

  it('is private without a relay too, for another reason', () => {
    const verdict = judge(situation({}, '/ip4/127.0.0.1/tcp/4001'));
    expect(verdict).toMatchObject({ state: 'private', reason: expect.stringContaining('nobody outside') });
  });

  it('keeps since when it holds and tells only of changes', () => {
    let now = 10;
    let current = situation({ connectionCount: 0 });
    let changes = 0;
    const tracker = new ReachabilityTracker({
      situation: () => current,
      now: () => now,
      changed: () => (changes += 1),
    });
    now = 20;
    tracker.update();
    expect([tracker.current.since, changes]).toEqual([10, 0]);
    current = situation({}, '/ip4/127.0.0.1/tcp/4001');
    tracker.update();
    expect([tracker.current.state, tracker.current.since, changes]).toEqual(['private', 20, 1]);
    now = 30;
    current = situation({}, RELAYED);
    tracker.update();
    expect([tracker.current.state, tracker.current.since, changes]).toEqual(['private', 20, 2]);
  });
});
