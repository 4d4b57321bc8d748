import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LIMITS } from '#shared/protocol/limits.ts';
import { cidOfDigest } from '#shared/protocol/content/cid.ts';
import { decodeRequest, decodeResponse, encodeRequest, encodeResponse } from '#shared/protocol/content/messages.ts';
import type { ContentRequest, ContentResponse } from '#shared/protocol/content/messages.ts';

const cid = cidOfDigest(new Uint8Array(32).fill(9));
const refused = { ok: false, error: { code: 'content.message_invalid' } };

const requests: readonly ContentRequest[] = [
  { kind: 'describe', id: 0, cid, manifest: false },
  { kind: 'describe', id: 4_294_967_295, cid, manifest: true },
  { kind: 'leaves', id: 7, cid, first: 0, count: 1 },
  { kind: 'leaves', id: 8, cid, first: LIMITS.content.leaves - 64, count: 64 },
];

const responses: readonly ContentResponse[] = [
  { kind: 'description', id: 1, manifestBytes: 0, have: new Uint8Array() },
  { kind: 'description', id: 2, manifestBytes: LIMITS.content.manifestBytes, have: new Uint8Array(2048).fill(5) },
  { kind: 'leaf', id: 3, index: 0 },
  { kind: 'leaf', id: 4, index: 16_383 },
  { kind: 'fault', id: 5, code: 'content.not_found', message: 'not here' },
];

describe('messages of the content protocol', () => {
  it('come back as they were sent', () => {
    for (const request of requests) expect(decodeRequest(encodeRequest(request))).toEqual({ ok: true, value: request });
    for (const response of responses) {
      expect(decodeResponse(encodeResponse(response))).toEqual({ ok: true, value: response });
    }
  });

  it('may carry fields that this version does not know', () => {
    const unknown = Uint8Array.from([0x78, 0x01, 0x82, 0x01, 0x02, 0xff, 0xff, 0x8d, 0x01, 1, 2, 3, 4]);
    const request = requests[2]!;
    const bytes = Uint8Array.from([...encodeRequest(request), ...unknown]);
    expect(decodeRequest(bytes)).toEqual({ ok: true, value: request });
  });

  it('of an unknown kind, of two kinds or of none are refused', () => {
    const [leaf, fault] = [encodeResponse(responses[2]!), encodeResponse(responses[4]!)];
    expect(decodeResponse(Uint8Array.from([...leaf, ...fault]))).toMatchObject(refused);
    expect(decodeResponse(new Uint8Array())).toMatchObject(refused);
    expect(decodeResponse(Uint8Array.from([0x08, 0x01, 0x2a, 0x00]))).toMatchObject(refused);
    expect(decodeRequest(new Uint8Array())).toMatchObject(refused);
  });

  it('that ask beyond the limits are refused', () => {
    const over: readonly ContentRequest[] = [
      { kind: 'leaves', id: 1, cid, first: 0, count: 0 },
      { kind: 'leaves', id: 1, cid, first: 0, count: LIMITS.content.leavesPerRequest + 1 },
      { kind: 'leaves', id: 1, cid, first: LIMITS.content.leaves, count: 1 },
      { kind: 'leaves', id: 1, cid, first: 4_294_967_295, count: 1 },
    ];
    for (const request of over) expect(decodeRequest(encodeRequest(request))).toMatchObject(refused);
    expect(
      decodeResponse(encodeResponse({ kind: 'description', id: 1, manifestBytes: 2 ** 31, have: new Uint8Array() })),
    ).toMatchObject(refused);
    expect(decodeResponse(encodeResponse({ kind: 'leaf', id: 1, index: LIMITS.content.leaves }))).toMatchObject(
      refused,
    );
    expect(decodeRequest(new Uint8Array(LIMITS.frame.controlBytes + 1))).toMatchObject(refused);
  });

  it("keep a peer's words short and printable and its unknown codes general", () => {
    const spoken = { kind: 'fault', id: 1, code: 'x' as never, message: `\u001b[2J${'a'.repeat(2000)}` } as const;
    const read = decodeResponse(encodeResponse(spoken));
    if (!read.ok || read.value.kind !== 'fault') throw new Error('expected a fault');
    expect(read.value.code).toBe('content.unavailable');
    expect(read.value.message).toMatch(/^\?\[2Ja{508}$/);
  });

  it('survive 10,000 garbled forms of themselves without an exception', () => {
    const valid = [...requests.map(encodeRequest), ...responses.map(encodeResponse)];
    const garbled = fc
      .tuple(fc.constantFrom(...valid), fc.nat(), fc.nat(255), fc.nat())
      .map(([bytes, at, value, length]) => {
        const copy = bytes.slice(0, length % (bytes.byteLength + 1));
        if (copy.byteLength > 0) copy[at % copy.byteLength] = value;
        return copy;
      });
    fc.assert(
      fc.property(fc.oneof(garbled, fc.uint8Array({ maxLength: 64 })), (bytes) => {
        const reads = [decodeRequest(bytes), decodeResponse(bytes)];
        return reads.every((read) => read.ok || read.error.code === 'content.message_invalid');
      }),
      { numRuns: 10_000 },
    );
  });
});
