import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';
import { describe, expect, it } from 'vitest';
import { createGater } from '#core/network/node/gater.ts';
import { parseBootstrap } from '#core/network/node/options.ts';

const RELAY = '16Uiu2HAmQFPv5134Jb9q6TSqxgPo5rGaL7c42GhmZm7HXiAgFDcc';

describe('the gater', () => {
  const inside = [
    '/ip4/127.0.0.1/tcp/22',
    '/ip4/192.168.1.1/tcp/80',
    '/ip4/10.0.0.1/tcp/80/ws',
    '/ip6/::1/tcp/80',
    '/ip6/fe80::1/tcp/80',
    `/ip4/192.168.1.1/tcp/80/p2p/${RELAY}/p2p-circuit`,
  ];
  it.each(inside)('of a public network does not dial %s, whoever names it', (address) => {
    const gater = createGater({ isBanned: () => false, dialPrivate: false });
    expect(gater.denyDialMultiaddr?.(multiaddr(address))).toBe(true);
  });

  it.each([
    '/ip4/8.8.8.8/tcp/4001',
    '/dns4/relay.example.org/tcp/443/wss',
    `/ip4/8.8.8.8/tcp/1/p2p/${RELAY}/p2p-circuit`,
  ])('lets %s through', (address) => {
    const gater = createGater({ isBanned: () => false, dialPrivate: false });
    expect(gater.denyDialMultiaddr?.(multiaddr(address))).toBe(false);
  });

  it('of a practice network dials loopback', () => {
    const gater = createGater({ isBanned: () => false, dialPrivate: true });
    expect(inside.map((address) => gater.denyDialMultiaddr?.(multiaddr(address)))).not.toContain(true);
  });

  it('shuts every door to a banned peer', async () => {
    const banned = peerIdFromPrivateKey(await generateKeyPair('secp256k1'));
    const gater = createGater({ isBanned: (peer) => peer === banned.toString(), dialPrivate: true });
    const other = peerIdFromPrivateKey(await generateKeyPair('secp256k1'));
    expect([gater.denyDialPeer?.(banned), gater.denyDialPeer?.(other)]).toEqual([true, false]);
    expect([gater.denyInboundRelayReservation?.(banned), gater.denyInboundRelayReservation?.(other)]).toEqual([
      true,
      false,
    ]);
    expect([
      gater.denyInboundRelayedConnection?.(other, banned),
      gater.denyInboundRelayedConnection?.(banned, other),
    ]).toEqual([true, false]);
  });
});

describe('bootstrap addresses', () => {
  it('of one peer belong together', () => {
    const parsed = parseBootstrap([`/ip4/8.8.8.8/tcp/1/p2p/${RELAY}`, `/ip4/8.8.8.8/tcp/2/ws/p2p/${RELAY}`]);
    expect(parsed.ok && parsed.value).toMatchObject([{ peerId: RELAY, addresses: [{}, {}] }]);
  });

  it.each(['', 'relay.example.org:4001', '/ip4/8.8.8.8/tcp/1', '/ip4/999.0.0.1/tcp/1/p2p/x'])(
    'refuse %j in words',
    (text) => {
      expect(parseBootstrap([text])).toMatchObject({
        ok: false,
        error: { remedy: expect.stringContaining('network file') },
      });
    },
  );
});
