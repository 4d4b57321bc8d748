import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { SourceRate } from '#core/network/rate.ts';
import { answerTo, startStun } from '#core/network/relay/stun.ts';
import type { StunResponder } from '#core/network/relay/stun.ts';

const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));
const file = path.resolve(import.meta.dirname, '../../vectors/stun.json');
const vectors = z
  .array(z.object({ request: z.string(), from: z.string(), port: z.number(), answer: z.string() }))
  .parse(JSON.parse(readFileSync(file, 'utf8')));
const request = bytes('000100002112a442b7e7a701bc34d686fa87dfae');
const from = { address: '192.0.2.1', port: 32853 };

describe('a STUN answer', () => {
  it.each(vectors)('to $from agrees with the vector', ({ request: asked, from: address, port, answer }) => {
    const given = answerTo(bytes(asked), { address, port });
    expect(given === undefined ? undefined : Buffer.from(given).toString('hex')).toBe(answer);
  });

  // RFC 5769, 2.2 and 2.3: the XOR-MAPPED-ADDRESS of the sample responses.
  it('holds the mapped address as in RFC 5769', () => {
    const v4 = answerTo(request, from);
    expect(Buffer.from(v4 ?? []).toString('hex')).toContain('002000080001a147e112a643');
    const v6 = answerTo(request, { address: '2001:db8:1234:5678:11:2233:4455:6677', port: 32853 });
    expect(Buffer.from(v6 ?? []).toString('hex')).toContain('002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9');
  });

  it.each([
    ['an empty datagram', new Uint8Array()],
    ['a response', bytes('010100002112a442b7e7a701bc34d686fa87dfae')],
    ['a wrong cookie', bytes('00010000deadbeefb7e7a701bc34d686fa87dfae')],
    ['a length that is not there', bytes('000100082112a442b7e7a701bc34d686fa87dfae')],
    ['a datagram longer than any request', new Uint8Array(600)],
  ])('is not given to %s', (_, asked) => {
    expect(answerTo(asked, from)).toBeUndefined();
  });

  it.each(['::1', '::ffff:1.2.3.4x', '1:2:3', 'fe80::1%eth0'])('survives the address %s', (address) => {
    expect(() => answerTo(request, { address, port: 1 })).not.toThrow();
  });
});

describe('the STUN responder', () => {
  let stun: StunResponder | undefined;
  afterEach(async () => stun?.stop());

  it('tells a client its own port and address', async () => {
    const started = await startStun({ port: 0, host: '127.0.0.1' });
    if (!started.ok) throw new Error(started.error.message);
    stun = started.value;
    const client = createSocket('udp4').bind(0, '127.0.0.1');
    await once(client, 'listening');
    client.send(request, stun.port, '127.0.0.1');
    const answered: unknown = (await once(client, 'message'))[0];
    expect(answered).toEqual(
      Buffer.from(answerTo(request, { address: '127.0.0.1', port: client.address().port }) ?? []),
    );
    client.close();
  });

  it('says in words that its port is taken', async () => {
    const first = await startStun({ port: 0, host: '127.0.0.1' });
    if (!first.ok) throw new Error(first.error.message);
    stun = first.value;
    const second = await startStun({ port: stun.port, host: '127.0.0.1' });
    expect(second).toMatchObject({ ok: false, error: { code: 'network.address_in_use' } });
  });
});

describe('a rate per source', () => {
  it('allows so many a second from one source', () => {
    const rate = new SourceRate(2, 10);
    expect([1, 2, 3].map(() => rate.allows('a', 500))).toEqual([true, true, false]);
    expect(rate.allows('b', 500)).toBe(true);
    expect(rate.allows('a', 1000)).toBe(true);
  });

  it('remembers a bounded number of sources', () => {
    const rate = new SourceRate(2, 3);
    expect(['a', 'b', 'c', 'd'].map((host) => rate.allows(host, 0))).toEqual([true, true, true, false]);
    expect(rate.allows('a', 1)).toBe(true);
  });
});
