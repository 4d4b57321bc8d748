import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Network } from '#core/network/port.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import { startHostile } from '#support/hostile-peer.ts';
import type { HostilePeer } from '#support/hostile-peer.ts';
import { TestNodes } from '#support/network-nodes.ts';

const PROTOCOL = '/hearth/echo/1.0';
const FRAMES = 10_000;

/** Mostly nearly right: a valid header with a wrong size, kind or body; and now and then plain noise. */
const garbled = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 64 }),
  fc
    .record({ kind: fc.integer({ min: 0, max: 5 }), length: fc.nat(70_000), body: fc.uint8Array({ maxLength: 64 }) })
    .map(({ kind, length, body }) => {
      const head = Buffer.alloc(5);
      head.writeUInt8(kind, 0);
      head.writeUInt32BE(length, 1);
      return Uint8Array.from([...head, ...body]);
    }),
  fc.uint8Array({ minLength: 4, maxLength: 4 }).map((body) => Uint8Array.from([2, 0, 0, 0, 4, ...body])),
);

describe('a node among hostile peers', () => {
  const nodes = new TestNodes();
  let victim: Network;
  let now: number;
  let charges: number;
  const attackers: HostilePeer[] = [];
  beforeEach(async () => {
    now = Date.now();
    charges = 0;
    const scores = { load: () => [], save: () => (charges += 1) };
    victim = await nodes.home([await nodes.relay()], { now: () => now, scores });
    await victim.serve({
      protocol: PROTOCOL,
      maxInboundStreams: 4,
      allowRelayed: false,
      handle: async (conversation) => {
        for (;;) {
          const frame = await conversation.receive({ timeoutMs: 10_000 });
          if (!frame.ok || frame.value === undefined) return;
          const sent = await conversation.send(frame.value);
          if (!sent.ok) return;
        }
      },
    });
  });
  afterEach(async () => {
    await Promise.all([nodes.stop(), ...attackers.splice(0).map((attacker) => attacker.stop())]);
  });
  const attack = async (): Promise<HostilePeer> => {
    const attacker = await startHostile();
    attackers.push(attacker);
    return attacker;
  };
  const scoreOf = (attacker: HostilePeer) => victim.peers().find((peer) => peer.peerId === attacker.peerId)?.score;

  async function stillServes(): Promise<void> {
    const friend = await nodes.home([], { privateAddresses: true });
    const opened = await friend.open(victim.peerId, PROTOCOL, { timeoutMs: 10_000, addresses: victim.addresses() });
    if (!opened.ok) throw new Error(opened.error.message);
    await opened.value.send({ kind: 'control', body: Uint8Array.of(1) });
    expect(await opened.value.receive({ timeoutMs: 10_000 })).toMatchObject({ ok: true });
    await opened.value.close();
  }

  it('ends the stream of an oversized frame and charges its sender', async () => {
    const attacker = await attack();
    const stream = await attacker.stream(victim.addresses(), PROTOCOL);
    const ended = new Promise((resolve) => stream.addEventListener('close', resolve, { once: true }));
    stream.send(Uint8Array.of(0, 0, 1, 0, 1));
    await ended;
    expect(stream.status).toBe('reset');
    expect(scoreOf(attacker)).toBeCloseTo(-LIMITS.score.price.invalidMessage, 1);
  });

  it(`survives ${FRAMES} garbled frames, each on a stream of its own, and charges for them`, async () => {
    const frames = fc.sample(garbled, { numRuns: FRAMES, seed: 20_261_122 }).values();
    const attacker = await attack();
    await Promise.all(
      Array.from({ length: 4 }, async () => {
        for (const frame of frames) {
          await spray(attacker, [frame]);
          // Days later its sins are forgotten, so that it may go on.
          now += 86_400_000;
        }
      }),
    );
    // Some of the frames are right by chance, or an end in the right place.
    expect(charges).toBeGreaterThan(FRAMES / 2);
    expect(victim.isBanned(attacker.peerId)).toBe(false);
    await stillServes();
  });

  it('bans peers that go on, under each of their names', async () => {
    const noise = Array.from({ length: 20 }, () => Uint8Array.of(9, 9, 9, 9, 9));
    for (let name = 0; name < 3; name += 1) {
      const attacker = await attack();
      for (const frame of noise) await spray(attacker, [frame]);
      expect(victim.isBanned(attacker.peerId)).toBe(true);
    }
    await stillServes();
  });

  /** Sends frames on one stream and waits until it is over. */
  async function spray(attacker: HostilePeer, frames: readonly Uint8Array[]): Promise<void> {
    try {
      const stream = await attacker.stream(victim.addresses(), PROTOCOL);
      stream.addEventListener('message', () => undefined);
      const ended = new Promise((resolve) => stream.addEventListener('close', resolve, { once: true }));
      for (const frame of frames) stream.send(frame);
      void stream.close().catch(() => undefined);
      await ended;
    } catch {
      // Reset while sending, or refused because it is banned by now.
    }
  }

  it('serves no more streams of one peer than its handler allows', async () => {
    const attacker = await attack();
    const streams = await Promise.all(Array.from({ length: 8 }, () => attacker.stream(victim.addresses(), PROTOCOL)));
    await expect.poll(() => streams.filter((stream) => stream.status === 'open').length).toBe(4);
    await stillServes();
  });

  it('is not slowed down by a peer that never reads its answers', async () => {
    const attacker = await attack();
    const stream = await attacker.stream(victim.addresses(), PROTOCOL);
    const frame = new Uint8Array(5 + 60_000);
    frame.set([0, 0, 0, 0xea, 0x60]);
    // Never grants credit: the echo handler waits with the first window, and holds no more than that.
    for (let sent = 0; sent < 30; sent += 1) stream.send(frame);
    await stillServes();
    expect(stream.status).toBe('open');
  });
});
