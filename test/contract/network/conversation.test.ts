import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FramedConversation } from '#core/network/stream/framed-conversation.ts';
import type { Conversation, Misdeed } from '#core/network/port.ts';
import { appError } from '#shared/errors.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import { peerIdText } from '#shared/units.ts';
import { memoryStreamPair } from '#support/memory-stream.ts';
import { tcpStreams } from '#support/tcp-stream-pair.ts';
import type { TcpStreams } from '#support/tcp-stream-pair.ts';
import type { Stream } from '@libp2p/interface';

const PROTOCOL = '/hearth/test/1.0';
const patient = { timeoutMs: 10_000 };
const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

interface Wiring {
  readonly pair: () => Promise<readonly [Stream, Stream]>;
  readonly stop: () => Promise<void>;
}

const wirings: readonly { readonly name: string; readonly start: () => Promise<Wiring> }[] = [
  {
    name: 'in memory',
    start: async () => ({ pair: async () => memoryStreamPair(PROTOCOL), stop: async () => undefined }),
  },
  {
    name: 'libp2p over TCP',
    start: async () => {
      const streams: TcpStreams = await tcpStreams(PROTOCOL);
      return { pair: () => streams.pair(), stop: () => streams.stop() };
    },
  },
];

describe.each(wirings)('a conversation, $name', ({ start }) => {
  let wiring: Wiring;
  beforeAll(async () => {
    wiring = await start();
  });
  afterAll(async () => wiring.stop());

  interface Ends {
    readonly local: Conversation;
    readonly remote: Conversation;
    readonly localStream: Stream;
    readonly charged: Misdeed[];
  }
  async function converse(): Promise<Ends> {
    const [localStream, remoteStream] = await wiring.pair();
    const charged: Misdeed[] = [];
    const end = (stream: Stream, name: string): Conversation =>
      new FramedConversation({
        stream,
        protocol: PROTOCOL,
        remotePeer: peerIdText(name),
        onBreach: (misdeed) => charged.push(misdeed),
      });
    return { local: end(localStream, 'remote'), remote: end(remoteStream, 'local'), localStream, charged };
  }
  async function body(conversation: Conversation): Promise<Uint8Array> {
    const received = await conversation.receive(patient);
    if (!received.ok || received.value === undefined) throw new Error(`no frame: ${JSON.stringify(received)}`);
    return received.value.body;
  }
  /** A peer that does not follow the rules: raw bytes against a conversation. */
  async function rude(): Promise<{ raw: Stream; victim: Conversation; charged: Misdeed[] }> {
    const [raw, stream] = await wiring.pair();
    const charged: Misdeed[] = [];
    raw.addEventListener('message', () => undefined);
    const victim = new FramedConversation({
      stream,
      protocol: PROTOCOL,
      remotePeer: peerIdText('rude'),
      onBreach: (misdeed) => charged.push(misdeed),
    });
    return { raw, victim, charged };
  }

  it('carries frames of both kinds in order, empty ones included', async () => {
    const { local, remote } = await converse();
    await local.send({ kind: 'control', body: bytes(1, 2, 3) });
    await local.send({ kind: 'data', body: bytes() });
    await local.send({ kind: 'data', body: bytes(4) });
    expect(await remote.receive(patient)).toEqual({ ok: true, value: { kind: 'control', body: bytes(1, 2, 3) } });
    expect(await remote.receive(patient)).toEqual({ ok: true, value: { kind: 'data', body: bytes() } });
    expect(await remote.receive(patient)).toEqual({ ok: true, value: { kind: 'data', body: bytes(4) } });
    await local.close();
  });

  it('answers while both sides talk at once, far past a window', async () => {
    const { local, remote } = await converse();
    const count = 24;
    const pump = async (conversation: Conversation): Promise<void> => {
      for (let index = 0; index < count; index += 1) {
        const sent = await conversation.send({
          kind: 'data',
          body: new Uint8Array(LIMITS.frame.dataBytes).fill(index),
        });
        expect(sent.ok).toBe(true);
      }
    };
    const drink = async (conversation: Conversation): Promise<void> => {
      for (let index = 0; index < count; index += 1) {
        const received = await body(conversation);
        expect(received.byteLength).toBe(LIMITS.frame.dataBytes);
        expect(received.every((byte) => byte === index)).toBe(true);
      }
    };
    await Promise.all([pump(local), pump(remote), drink(local), drink(remote)]);
    await local.close();
  });

  it('makes the sender wait for a reader that does not read', async () => {
    const { local, remote } = await converse();
    let sentBytes = 0;
    const frame = { kind: 'data', body: new Uint8Array(LIMITS.frame.dataBytes) } as const;
    const stop = new AbortController();
    const pump = (async () => {
      while ((await local.send(frame, stop.signal)).ok) sentBytes += frame.body.byteLength;
    })();
    // Nothing signals "still waiting": give it time in which megabytes would pass.
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(sentBytes).toBeGreaterThan(0);
    expect(sentBytes).toBeLessThanOrEqual(LIMITS.conversation.initialWindowBytes);
    await body(remote);
    await body(remote).catch(() => undefined);
    stop.abort();
    await pump;
    local.abort(appError('test.done', 'done'));
  });

  it('lets a withdrawn frame go and keeps the conversation', async () => {
    const { local, remote } = await converse();
    const big = { kind: 'data', body: new Uint8Array(LIMITS.frame.dataBytes) } as const;
    await local.send(big);
    const stop = new AbortController();
    const waiting = local.send(big, stop.signal);
    stop.abort();
    expect(await waiting).toMatchObject({ ok: false, error: { code: 'network.cancelled' } });
    const small = local.send({ kind: 'control', body: bytes(9) });
    await body(remote);
    await small;
    expect(await body(remote)).toEqual(bytes(9));
    await local.close();
  });

  it('ends cleanly with undefined after every frame was read', async () => {
    const { local, remote } = await converse();
    await local.send({ kind: 'control', body: bytes(7) });
    await local.close();
    expect(await body(remote)).toEqual(bytes(7));
    expect(await remote.receive(patient)).toEqual({ ok: true, value: undefined });
    expect(await remote.receive(patient)).toEqual({ ok: true, value: undefined });
    await remote.close();
    expect(await local.send({ kind: 'control', body: bytes() })).toMatchObject({
      ok: false,
      error: { code: 'network.stream_closed' },
    });
    expect(await local.receive(patient)).toMatchObject({ ok: false, error: { code: 'network.stream_closed' } });
  });

  it('delivers frames still waiting for credit before it closes', async () => {
    const { local, remote } = await converse();
    const frames = 6;
    const sends = Array.from({ length: frames }, (_, index) =>
      local.send({ kind: 'data', body: new Uint8Array(LIMITS.frame.dataBytes).fill(index) }),
    );
    const closed = local.close();
    for (let index = 0; index < frames; index += 1) expect((await body(remote))[5]).toBe(index);
    expect(await remote.receive(patient)).toEqual({ ok: true, value: undefined });
    await Promise.all([...sends, closed, remote.close()]);
  });

  it('tells the other side of an abort, and itself the cause', async () => {
    const { local, remote } = await converse();
    await local.send({ kind: 'control', body: bytes(1) });
    await body(remote);
    const waiting = remote.receive(patient);
    local.abort(appError('work.lease_expired', 'The lease ran out.'));
    expect(await waiting).toMatchObject({ ok: false, error: { code: 'network.stream_closed' } });
    expect(await local.send({ kind: 'control', body: bytes() })).toMatchObject({
      ok: false,
      error: { code: 'network.stream_closed', data: { cause: 'work.lease_expired' } },
    });
  });

  it('ends on silence, and on nothing but silence', async () => {
    const { local, remote } = await converse();
    const first = remote.receive({ timeoutMs: 400 });
    await local.send({ kind: 'control', body: bytes(1) });
    expect(await first).toMatchObject({ ok: true });
    expect(await remote.receive({ timeoutMs: 50 })).toMatchObject({ ok: false, error: { code: 'network.timeout' } });
    expect(await local.receive(patient)).toMatchObject({ ok: false, error: { code: 'network.stream_closed' } });
  });

  it('stops waiting on a signal and goes on afterwards', async () => {
    const { local, remote } = await converse();
    const stop = new AbortController();
    const waiting = remote.receive({ timeoutMs: 10_000, signal: stop.signal });
    stop.abort();
    expect(await waiting).toMatchObject({ ok: false, error: { code: 'network.cancelled' } });
    await local.send({ kind: 'control', body: bytes(5) });
    expect(await body(remote)).toEqual(bytes(5));
    await local.close();
  });

  it('refuses to send what is too large and stays usable', async () => {
    const { local, remote } = await converse();
    const oversized = new Uint8Array(LIMITS.frame.controlBytes + 1);
    expect(await local.send({ kind: 'control', body: oversized })).toMatchObject({
      ok: false,
      error: { code: 'network.frame_too_large' },
    });
    await local.send({ kind: 'control', body: oversized.subarray(1) });
    expect((await body(remote)).byteLength).toBe(LIMITS.frame.controlBytes);
    await local.close();
  });

  it.each([
    ['a control frame of 64 KiB + 1', bytes(0, 0, 1, 0, 1), 'network.frame_too_large', 'invalid_message'],
    ['a data frame of 4 GiB', bytes(1, 255, 255, 255, 255), 'network.frame_too_large', 'invalid_message'],
    ['an unknown kind', bytes(9, 0, 0, 0, 0), 'network.frame_invalid', 'invalid_message'],
    ['a credit of the wrong size', bytes(2, 0, 0, 0, 3, 0, 0, 1), 'network.frame_invalid', 'invalid_message'],
    ['a credit of nothing', bytes(2, 0, 0, 0, 4, 0, 0, 0, 0), 'network.frame_invalid', 'invalid_message'],
    ['a credit past any window', bytes(2, 0, 0, 0, 4, 255, 0, 0, 0), 'network.frame_invalid', 'invalid_message'],
  ])('charges the peer for %s', async (_, sent, code, misdeed) => {
    const { raw, victim, charged } = await rude();
    const waiting = victim.receive(patient);
    raw.send(sent);
    expect(await waiting).toMatchObject({ ok: false, error: { code } });
    expect(charged).toEqual([misdeed]);
    raw.abort(new Error('done'));
  });

  it('charges a peer that sends on without credit', async () => {
    const { raw, victim, charged } = await rude();
    const frame = new Uint8Array(5 + 65_536);
    frame.set(bytes(1, 0, 1, 0, 0));
    try {
      for (let sent = 0; sent <= LIMITS.conversation.initialWindowBytes; sent += frame.byteLength) raw.send(frame);
    } catch {
      // The victim may have reset the stream already.
    }
    await expect.poll(() => charged).toEqual(['too_much']);
    expect(await victim.receive(patient)).toMatchObject({ ok: false, error: { code: 'network.too_many' } });
    raw.abort(new Error('done'));
  });

  it('charges a peer that ends in the middle of a frame', async () => {
    const { raw, victim, charged } = await rude();
    raw.send(bytes(0, 0, 0, 0, 9, 1, 2));
    void raw.close().catch(() => undefined);
    expect(await victim.receive(patient)).toMatchObject({ ok: false, error: { code: 'network.frame_invalid' } });
    expect(charged).toEqual(['invalid_message']);
    raw.abort(new Error('done'));
  });
});
