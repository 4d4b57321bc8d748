import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Network, VerifiedStatement } from '#core/network/port.ts';
import type { Relay } from '#core/network/relay/create-relay.ts';
import { createStatements } from '#core/network/statements/statements.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import { startHostile } from '#support/hostile-peer.ts';
import type { HostilePeer } from '#support/hostile-peer.ts';
import { eventually, peerOf, TEST_NETWORK, TestNodes } from '#support/network-nodes.ts';

const topic = `/hearth/${TEST_NETWORK}/offer/v1`;
const text = (statement: VerifiedStatement): string => Buffer.from(statement.payload).toString();

/** Publishes again and again until `heard` is true: subscriptions reach neighbours in their own time. */
async function publishUntil(publish: () => Promise<unknown>, heard: () => boolean): Promise<void> {
  await expect
    .poll(
      async () => {
        if (!heard()) await publish();
        return heard();
      },
      { timeout: 15_000, interval: 100 },
    )
    .toBe(true);
}

describe('gossip', () => {
  const nodes = new TestNodes();
  let relay: Relay;
  let hostile: HostilePeer | undefined;
  beforeEach(async () => {
    relay = await nodes.relay();
  });
  afterEach(async () => {
    await Promise.all([nodes.stop(), hostile?.stop()]);
    hostile = undefined;
  });

  it('reaches homes that know each other only through the relay, each statement once', async () => {
    const [speaker, first, second] = await Promise.all([1, 2, 3].map(() => nodes.home([relay])));
    if (speaker === undefined || first === undefined || second === undefined) throw new Error('three homes started');
    const heard = new Map<Network, string[]>([first, second].map((home) => [home, []]));
    for (const [home, said] of heard) {
      home.subscribe('offer', (statement) => {
        expect(statement.sender).toBe(speaker.peerId);
        said.push(text(statement));
      });
    }
    let round = 0;
    const all = (): boolean => [...heard.values()].every((said) => said.length > 0);
    await publishUntil(() => speaker.publish('offer', Buffer.from(`offer ${(round += 1)}`), 60_000), all);
    await speaker.publish('offer', Buffer.from('last'), 60_000);
    await expect.poll(() => [...heard.values()].every((said) => said.includes('last'))).toBe(true);
    for (const said of heard.values()) expect(new Set(said).size).toBe(said.length);
  });

  it('keeps kinds apart and stops when nobody listens any more', async () => {
    const [speaker, listener] = await Promise.all([nodes.home([relay]), nodes.home([relay])]);
    const offers: string[] = [];
    const rounds: string[] = [];
    const off = listener.subscribe('offer', (statement) => offers.push(text(statement)));
    listener.subscribe('round', (statement) => rounds.push(text(statement)));
    await publishUntil(
      () => speaker.publish('offer', Buffer.from('o'), 60_000),
      () => offers.length > 0,
    );
    off();
    const before = offers.length;
    await speaker.publish('offer', Buffer.from('o'), 60_000);
    await publishUntil(
      () => speaker.publish('round', Buffer.from('r'), 60_000),
      () => rounds.length > 0,
    );
    expect(offers).toHaveLength(before);
    expect(new Set(rounds)).toEqual(new Set(['r']));
  });

  it('refuses what is too large to be told to everybody', async () => {
    const home = await nodes.home([relay]);
    expect(await home.publish('offer', new Uint8Array(LIMITS.gossip.messageBytes), 60_000)).toMatchObject({
      ok: false,
      error: { code: 'network.frame_too_large' },
    });
  });

  it('does not pass on forged, foreign or garbled statements, and charges whoever does', async () => {
    const victim = await nodes.home([relay]);
    const heard: string[] = [];
    victim.subscribe('offer', (statement) => heard.push(text(statement)));
    hostile = await startHostile();
    await hostile.connect(victim.addresses());
    const { pubsub } = hostile.node.services;
    pubsub.subscribe(topic);
    const say = createStatements({ networkId: TEST_NETWORK, key: hostile.key, now: Date.now });
    const stranger = createStatements({ networkId: 'other-net', key: hostile.key, now: Date.now });
    await publishUntil(
      () => pubsub.publish(topic, say.seal('offer', Buffer.from('honest'), 60_000)),
      () => heard.length > 0,
    );
    const id = hostile.peerId;
    expect(victim.peers().find((peer) => peer.peerId === id)?.score).toBe(0);

    // Late and repeated ones are dropped without blame.
    const late = createStatements({ networkId: TEST_NETWORK, key: hostile.key, now: () => Date.now() - 3_600_000 });
    await pubsub.publish(topic, late.seal('offer', Buffer.from('late'), 60_000));
    const forged = say.seal('offer', Buffer.from('forged'), 60_000);
    forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1;
    await pubsub.publish(topic, forged);
    await expect.poll(() => victim.peers().find((peer) => peer.peerId === id)?.score).toBeCloseTo(-10, 1);
    await pubsub.publish(topic, stranger.seal('offer', Buffer.from('foreign'), 60_000));
    await pubsub.publish(topic, new Uint8Array(500).fill(9));
    await expect.poll(() => victim.peers().find((peer) => peer.peerId === id)?.score).toBeCloseTo(-30, 1);
    expect(new Set(heard)).toEqual(new Set(['honest']));
  });

  it('bans who keeps sending invalid statements, and stays banned at the door', async () => {
    const victim = await nodes.home([relay]);
    victim.subscribe('offer', () => undefined);
    hostile = await startHostile();
    const { node, peerId } = hostile;
    await hostile.connect(victim.addresses());
    node.services.pubsub.subscribe(topic);
    let round = 0;
    await publishUntil(
      async () => node.services.pubsub.publish(topic, new Uint8Array(100).fill((round += 1))),
      () => victim.isBanned(peerId),
    );
    await eventually(victim, () => (victim.peers().some((peer) => peer.peerId === peerId) ? undefined : true));
    await hostile.connect(victim.addresses()).catch(() => undefined);
    await expect.poll(() => node.getConnections().length).toBe(0);
    expect(await victim.open(peerId, '/hearth/x/1.0', { timeoutMs: 1_000 })).toMatchObject({
      ok: false,
      error: { code: 'network.banned' },
    });
    expect(peerOf(victim, relay.network)).toBeDefined();
  });
});
