import { afterEach, describe, expect, it } from 'vitest';
import { createNetwork } from '#core/network/create-network.ts';
import { generatePeerKey } from '#core/network/peer-key.ts';
import type { Conversation, Network } from '#core/network/port.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import { eventually, peerOf, TEST_NETWORK, TestNodes } from '#support/network-nodes.ts';

const patient = { timeoutMs: 15_000 };

async function serveEcho(network: Network, protocol: string, allowRelayed = false): Promise<void> {
  await network.serve({
    protocol,
    maxInboundStreams: 8,
    allowRelayed,
    handle: async (conversation) => {
      for (;;) {
        const frame = await conversation.receive(patient);
        if (!frame.ok || frame.value === undefined) return;
        await conversation.send(frame.value);
      }
    },
  });
}

async function echo(conversation: Conversation, text: string): Promise<string> {
  await conversation.send({ kind: 'control', body: Buffer.from(text) });
  const answer = await conversation.receive(patient);
  if (!answer.ok || answer.value === undefined) throw new Error(`no echo: ${JSON.stringify(answer)}`);
  return Buffer.from(answer.value.body).toString();
}

const hasReservation = (network: Network) => () =>
  network.addresses().some((address) => address.includes('p2p-circuit')) ? true : undefined;

describe('nodes that know nothing but a relay', () => {
  const nodes = new TestNodes();
  afterEach(async () => nodes.stop());

  it('join, get a place at the relay and say so', async () => {
    const relay = await nodes.relay();
    const home = await nodes.home([relay]);
    await eventually(home, hasReservation(home));
    expect(peerOf(home, relay.network)).toMatchObject({ via: 'direct', score: 0 });
    await eventually(home, () => (home.reachability().reason.includes('through a relay') ? true : undefined));
    expect(home.reachability()).toMatchObject({ state: 'private' });
    expect(await eventually(home, () => peerOf(home, relay.network)?.rttMs)).toBeGreaterThan(0);
  });

  it('talk directly, over TCP or WebSockets, with an address or without', async () => {
    const relay = await nodes.relay();
    const [server, client, stranger] = await Promise.all([
      nodes.home([relay], { listen: ['/ip4/127.0.0.1/tcp/0/ws'] }),
      nodes.home([relay]),
      nodes.home([relay]),
    ]);
    await serveEcho(server, '/hearth/echo/1.2');
    const told = await client.open(server.peerId, '/hearth/echo/1.2', { ...patient, addresses: server.addresses() });
    if (!told.ok) throw new Error(told.error.message);
    expect(await echo(told.value, 'hello')).toBe('hello');
    await told.value.close();
    expect(peerOf(client, server)?.via).toBe('direct');
    expect(peerOf(client, server)?.addresses.join()).toContain('/ws');

    await eventually(server, hasReservation(server));
    const found = await stranger.open(server.peerId, '/hearth/echo/1.0', patient);
    if (!found.ok) throw new Error(found.error.message);
    expect(found.value.protocol).toBe('/hearth/echo/1.0');
    expect(await echo(found.value, 'found')).toBe('found');
    expect(peerOf(stranger, server)?.via).toBe('direct');
    await found.value.close();
  });

  it('agree on the older minor version and answer another major in words', async () => {
    const relay = await nodes.relay();
    const [server, client] = await Promise.all([nodes.home([relay]), nodes.home([relay])]);
    await serveEcho(server, '/hearth/echo/2.1');
    const options = { ...patient, addresses: server.addresses() };
    const newer = await client.open(server.peerId, '/hearth/echo/2.3', options);
    expect(newer.ok && newer.value.protocol).toBe('/hearth/echo/2.1');
    if (newer.ok) await newer.value.close();
    expect(await client.open(server.peerId, '/hearth/echo/1.4', options)).toMatchObject({
      ok: false,
      error: {
        code: 'network.protocol_unsupported',
        message: 'The peer speaks version 2 of echo, this program speaks version 1.',
        remedy: 'Update this program.',
      },
    });
    expect(await client.open(server.peerId, '/hearth/other/1.0', options)).toMatchObject({
      ok: false,
      error: { code: 'network.protocol_unsupported', message: 'The peer does not offer /hearth/other/1.0.' },
    });
  });

  it('connect by WebRTC when they listen nowhere, signalling through the relay', async () => {
    const relay = await nodes.relay({ stun: { port: 0, host: '127.0.0.1' } });
    const stun = [`127.0.0.1:${relay.stunPort}`];
    const deaf = { listen: [], webrtc: true, stun };
    const [server, client] = await Promise.all([nodes.home([relay], deaf), nodes.home([relay], deaf)]);
    await serveEcho(server, '/hearth/echo/1.0');
    await eventually(server, hasReservation(server));
    const opened = await client.open(server.peerId, '/hearth/echo/1.0', patient);
    if (!opened.ok) throw new Error(opened.error.message);
    expect(peerOf(client, server)?.via).toBe('webrtc');
    const body = new Uint8Array(LIMITS.frame.dataBytes).fill(7);
    for (let sent = 0; sent < 4; sent += 1) {
      await opened.value.send({ kind: 'data', body });
      const back = await opened.value.receive(patient);
      expect(back.ok && back.value?.body.byteLength).toBe(body.byteLength);
    }
    await opened.value.close();
  });

  it('find who provides a content in the DHT', async () => {
    const relay = await nodes.relay();
    const [provider, seeker] = await Promise.all([nodes.home([relay]), nodes.home([relay])]);
    await Promise.all([provider, seeker].map((home) => eventually(home, () => peerOf(home, relay.network)?.rttMs)));
    const cid = 'bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku';
    await provider.provide(cid);
    const found: string[] = [];
    for await (const peer of seeker.findProviders(cid, AbortSignal.timeout(10_000))) found.push(peer);
    expect(found).toEqual([provider.peerId]);
  });

  it('are told in words what keeps them from starting or reaching somebody', async () => {
    const relay = await nodes.relay();
    const first = await nodes.home([relay]);
    const port = /127\.0\.0\.1\/tcp\/(\d+)\/p2p/.exec(first.addresses()[0] ?? '')?.[1];
    const key = await generatePeerKey();
    const base = { networkId: TEST_NETWORK, key, stun: [], upnp: false, webrtc: false };
    expect(await createNetwork({ ...base, bootstrap: [], listen: [`/ip4/127.0.0.1/tcp/${port}`] })).toMatchObject({
      ok: false,
      error: { code: 'network.address_in_use', remedy: expect.any(String) },
    });
    expect(await createNetwork({ ...base, bootstrap: ['/ip4/127.0.0.1/tcp/1'] })).toMatchObject({
      ok: false,
      error: { code: 'network.unreachable', remedy: expect.stringContaining('network file') },
    });
    const absent = (await generatePeerKey()).peerId;
    expect(await first.open(absent, '/hearth/echo/1.0', { timeoutMs: 3_000 })).toMatchObject({
      ok: false,
      error: { code: 'network.unreachable' },
    });
    const stop = new AbortController();
    const opening = first.open(absent, '/hearth/echo/1.0', {
      timeoutMs: 20_000,
      signal: stop.signal,
      addresses: ['/ip4/192.0.2.1/tcp/4001'],
    });
    stop.abort();
    expect(await opening).toMatchObject({ ok: false, error: { code: 'network.cancelled' } });
    await first.stop();
    expect(await first.open(absent, '/hearth/echo/1.0', patient)).toMatchObject({
      ok: false,
      error: { code: 'network.stopped' },
    });
  });

  it('keep tensors off a relay: only protocols that say so run over it', async () => {
    const relay = await nodes.relay();
    const deaf = { listen: [] };
    const [server, client] = await Promise.all([nodes.home([relay], deaf), nodes.home([relay], deaf)]);
    await serveEcho(server, '/hearth/small/1.0', true);
    await serveEcho(server, '/hearth/bulk/1.0');
    await eventually(server, hasReservation(server));
    const small = await client.open(server.peerId, '/hearth/small/1.0', { ...patient, allowRelayed: true });
    if (!small.ok) throw new Error(small.error.message);
    expect(peerOf(client, server)?.via).toBe('relayed');
    expect(await echo(small.value, 'over the relay')).toBe('over the relay');
    expect(await client.open(server.peerId, '/hearth/bulk/1.0', { timeoutMs: 2_000 })).toMatchObject({
      ok: false,
      error: { code: 'network.unreachable', remedy: expect.stringContaining('UPnP') },
    });
    // The relay's own limit ends a connection that carries more than signalling.
    const body = new Uint8Array(LIMITS.frame.dataBytes);
    await small.value.send({ kind: 'data', body });
    await small.value.send({ kind: 'data', body });
    expect(await small.value.receive(patient)).toMatchObject({ ok: false, error: { code: 'network.stream_closed' } });
  });
});
