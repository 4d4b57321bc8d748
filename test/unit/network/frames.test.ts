import { readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { encodeCredit, encodeFrame, FrameParser } from '#core/network/stream/frames.ts';
import type { FrameKind } from '#core/network/stream/frames.ts';
import type { NetworkError } from '#core/network/port.ts';

const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));
const hex = (data: Uint8Array): string => Buffer.from(data).toString('hex');
const wire = (kind: FrameKind, body: Uint8Array): Uint8Array => encodeFrame(kind, body).slice();

interface Parsed {
  readonly frames: { readonly kind: FrameKind; readonly body: string }[];
  readonly breach: NetworkError | undefined;
  readonly midFrame: boolean;
}
function parse(chunks: readonly Uint8Array[], admit: () => NetworkError | undefined = () => undefined): Parsed {
  const frames: Parsed['frames'] = [];
  const parser = new FrameParser({
    admit,
    frame: (kind, body) => {
      frames.push({ kind, body: hex(body) });
      return undefined;
    },
  });
  let breach: NetworkError | undefined;
  for (const chunk of chunks) breach ??= parser.push(chunk);
  return { frames, breach, midFrame: parser.midFrame };
}

const vectors = z
  .object({
    frames: z.array(
      z.object({ name: z.string(), kind: z.enum(['control', 'data', 'credit']), body: z.string(), wire: z.string() }),
    ),
    refused: z.array(z.object({ why: z.string(), wire: z.string(), code: z.string() })),
  })
  .parse(JSON.parse(readFileSync(path.resolve(import.meta.dirname, '../../vectors/frames.json'), 'utf8')));

describe('frames', () => {
  it.each(vectors.frames)('agree with the vector of $name', ({ kind, body, wire: expected }) => {
    expect(hex(wire(kind, bytes(body)))).toBe(expected);
    expect(parse([bytes(expected)])).toEqual({ frames: [{ kind, body }], breach: undefined, midFrame: false });
  });

  it.each(vectors.refused)('refuse $why', ({ wire: sent, code }) => {
    expect(parse([bytes(sent)]).breach?.code).toBe(code);
  });

  it('are found again however the stream is cut', () => {
    const frame = fc.record({
      kind: fc.constantFrom<FrameKind>('control', 'data'),
      body: fc.uint8Array({ maxLength: 40 }),
    });
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 8 }), fc.array(fc.integer({ min: 1, max: 9 })), (sent, cuts) => {
        const whole = Uint8Array.from(sent.flatMap(({ kind, body }) => [...wire(kind, body)]));
        const chunks: Uint8Array[] = [];
        let offset = 0;
        for (const size of cuts) chunks.push(whole.subarray(offset, (offset += size)));
        chunks.push(whole.subarray(offset));
        expect(parse(chunks).frames).toEqual(sent.map(({ kind, body }) => ({ kind, body: hex(body) })));
      }),
    );
  });

  it('ask for admission before the body arrives, and not after a refusal', () => {
    const refusal = { code: 'network.too_many', message: 'no' } as const;
    expect(parse([bytes('0100100000')], () => refusal)).toMatchObject({ breach: refusal, frames: [] });
  });

  it('own their body: the chunk may be overwritten', () => {
    const chunk = bytes('000000000201ff');
    let body: Uint8Array | undefined;
    const parser = new FrameParser({
      admit: () => undefined,
      frame: (_, parsed) => {
        body = parsed;
        return undefined;
      },
    });
    parser.push(chunk);
    chunk.fill(0);
    expect(body).toEqual(Uint8Array.of(1, 255));
    expect(body?.buffer.byteLength).toBe(2);
  });

  it('carry large bodies by reference, small ones in one piece', () => {
    const large = new Uint8Array(100_000).fill(3);
    const encoded = encodeFrame('data', large);
    expect(encoded instanceof Uint8Array).toBe(false);
    expect(parse([encoded.slice()]).frames[0]?.body).toBe(hex(large));
    expect(encodeCredit(1) instanceof Uint8Array).toBe(true);
  });
});
