import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LIMITS } from '#shared/protocol/limits.ts';
import {
  decodeWorkMessage,
  encodeWorkMessage,
  leaseStatement,
  offer,
  type LeaseId,
  type Offer,
  type OfferId,
  type WorkMessage,
} from '#shared/protocol/work-messages.ts';
import { decode, encode } from '#shared/protocol/work-wire.ts';
import { sha256Hex, wei } from '#shared/units.ts';
import { tempDir } from '#support/temp-dir.ts';

const hex = (bytes: number) =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((value) => Buffer.from(value).toString('hex'));
const prefixed = (bytes: number) => hex(bytes).map((text) => `0x${text}` as const);
const amount = fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }).map(wei);
const voucher = fc.record({
  channelId: prefixed(32),
  cumulativeWei: amount,
  expiresAt: fc.maxSafeNat(),
  signature: prefixed(65),
});
const lease = hex(16).map((text) => text as LeaseId);
const layout = fc.record({
  tensors: fc.array(
    fc.record({
      name: fc.string({ unit: 'binary', maxLength: 8 }),
      dtype: fc.constantFrom('float32' as const, 'int64' as const, 'bool' as const),
      dims: fc.array(fc.nat({ max: 4096 }), { maxLength: 4 }),
    }),
    { maxLength: 3 },
  ),
});

const messages: fc.Arbitrary<WorkMessage> = fc.oneof(
  fc.record({
    kind: fc.constant('join' as const),
    body: fc.record({ sealed: fc.uint8Array({ minLength: 1 }), voucher, leases: fc.array(lease, { maxLength: 4 }) }),
  }),
  fc.record({ kind: fc.constant('want' as const), body: fc.record({ maxShards: fc.nat({ max: 256 }) }) }),
  fc.record({
    kind: fc.constant('results' as const),
    body: fc.record({
      leaseId: lease,
      layouts: fc.array(layout, { maxLength: 2 }),
      items: fc.array(
        fc.record(
          {
            index: fc.nat(),
            code: fc.constantFrom('', 'compute.deadline'),
            layout: fc.nat({ max: 1 }),
            digest: hex(32).map(sha256Hex),
            computeMicros: fc.maxSafeNat(),
          },
          { requiredKeys: ['index', 'code', 'layout', 'computeMicros'] },
        ),
        { maxLength: 5 },
      ),
    }),
  }),
  fc.record({ kind: fc.constant('pay' as const), body: fc.record({ voucher }) }),
  fc.record({ kind: fc.constant('voucherAck' as const), body: fc.record({ cumulativeWei: amount }) }),
  fc.record({
    kind: fc.constant('verdicts' as const),
    body: fc.record({
      leaseId: lease,
      items: fc.array(
        fc.record({
          index: fc.nat(),
          outcome: fc.constantFrom('accepted' as const, 'refused' as const),
          code: fc.constant(''),
        }),
        { maxLength: 5 },
      ),
    }),
  }),
);

export const anOffer: Offer = {
  offerId: '00112233445566778899aabbccddeeff' as OfferId,
  kind: 'inference',
  modelCid: 'bafyabc',
  modelDigest: sha256Hex('ab'.repeat(32)),
  modelBytes: 1234,
  priceWei: wei(10n ** 18n),
  shardsOpen: 300,
  maxShardsPerLease: 256,
  payer: `0x${'11'.repeat(20)}`,
  chainId: 31337,
  channels: `0x${'22'.repeat(20)}`,
  token: `0x${'33'.repeat(20)}`,
  deadline: 1_900_000_000_000,
  backends: ['cpu', 'webgpu'],
  tolerance: 1e-5,
  checks: 'full',
  addresses: ['/ip4/127.0.0.1/tcp/4001'],
};

describe('work messages', () => {
  it('come back from the wire as they were', () => {
    fc.assert(
      fc.property(messages, (sent) => {
        expect(decodeWorkMessage(encodeWorkMessage(sent))).toEqual({ ok: true, value: sent });
      }),
    );
  });

  it('never throw on any bytes, truncations and flipped bits of real messages included', () => {
    fc.assert(
      fc.property(
        messages,
        fc.nat(),
        fc.nat({ max: 255 }),
        fc.uint8Array({ maxLength: 200 }),
        (sent, at, byte, noise) => {
          const bytes = encodeWorkMessage(sent).slice();
          decodeWorkMessage(bytes.subarray(0, at % (bytes.length + 1)));
          if (bytes.length > 0) bytes[at % bytes.length] = byte;
          decodeWorkMessage(bytes);
          expect(() => decodeWorkMessage(noise)).not.toThrow();
        },
      ),
      { numRuns: 1000 },
    );
  });

  it('refuse a list that is longer than its bound before reading the rest of it', () => {
    const one = encodeWorkMessage({
      kind: 'join',
      body: { sealed: Uint8Array.of(1), leases: ['00'.repeat(16) as LeaseId] },
    });
    const entry = one.subarray(one.length - 18);
    const many = Buffer.concat([one.subarray(2), ...Array.from({ length: LIMITS.work.resumedLeases }, () => entry)]);
    const header = Buffer.from([0x0a, (many.length & 127) | 128, many.length >> 7]);
    const parsed = decodeWorkMessage(Buffer.concat([header, many]));
    expect(parsed).toMatchObject({ ok: false, error: { code: 'work.message_invalid' } });
    expect(!parsed.ok && parsed.error.message).toContain('leases has more than 64 elements');
  });

  it('refuse two messages in one frame and kinds that are not known', () => {
    const want = encodeWorkMessage({ kind: 'want', body: { maxShards: 1 } });
    const wait = encodeWorkMessage({ kind: 'wait', body: { retryAfterMs: 1 } });
    expect(decodeWorkMessage(Buffer.concat([want, wait])).ok).toBe(false);
    expect(decodeWorkMessage(Uint8Array.of(0xa2, 0x06, 0)).ok).toBe(false);
    expect(decodeWorkMessage(new Uint8Array()).ok).toBe(false);
  });

  it('skip fields they do not know', () => {
    const want = encodeWorkMessage({ kind: 'want', body: { maxShards: 7 } });
    const unknown = Uint8Array.of(0xa2, 0x06, 2, 1, 2);
    expect(decodeWorkMessage(Buffer.concat([want, unknown]))).toMatchObject({
      ok: true,
      value: { body: { maxShards: 7 } },
    });
  });

  it('refuse an amount with a leading zero, a short digest and an unknown enum value', () => {
    expect(decodeWorkMessage(Uint8Array.of(0x2a, 4, 0x0a, 2, 0, 1)).ok).toBe(false);
    const bytes = encode(offer, anOffer).slice();
    expect(decode(offer, bytes).ok).toBe(true);
    expect(decode(offer, encode(offer, { ...anOffer, modelDigest: sha256Hex('ab') })).ok).toBe(false);
    bytes[19] = 9; // behind the 18 bytes of offerId and the tag of kind
    expect(decode(offer, bytes).ok).toBe(false);
  });

  it('are read by a decoder generated from work.proto, and the other way round', async () => {
    const generated = await generateFromProto();
    const theirs = generated.Offer.decode(encode(offer, anOffer));
    expect(theirs).toMatchObject({
      modelBytes: 1234n,
      chainId: 31337n,
      tolerance: 1e-5,
      backends: ['BACKEND_CPU', 'BACKEND_WEBGPU'],
    });
    expect(decode(offer, generated.Offer.encode(theirs))).toEqual({ ok: true, value: anOffer });
    const statement = {
      offerId: anOffer.offerId,
      leaseId: 'ff'.repeat(16) as LeaseId,
      provider: '16Uiu2HAm',
      modelDigest: anOffer.modelDigest,
      expiresAt: 1_900_000_000_001,
      layouts: [{ tensors: [{ name: 'x', dtype: 'float32' as const, dims: [1, 28, 28] }] }],
      shards: [{ index: 2 ** 33, layout: 0, digest: anOffer.modelDigest }],
    };
    const round = generated.LeaseStatement.encode(generated.LeaseStatement.decode(encode(leaseStatement, statement)));
    expect(decode(leaseStatement, round)).toEqual({ ok: true, value: statement });
    fc.assert(
      fc.property(messages, (sent) => {
        const round = generated.WorkMessage.encode(generated.WorkMessage.decode(encodeWorkMessage(sent)));
        expect(decodeWorkMessage(round)).toEqual({ ok: true, value: sent });
      }),
    );
  });
});

interface Generated {
  decode(bytes: Uint8Array): Record<string, unknown>;
  encode(value: Record<string, unknown>): Uint8Array;
}

/** What a stranger's generator makes of the published schema. */
async function generateFromProto(): Promise<Record<'Offer' | 'LeaseStatement' | 'WorkMessage', Generated>> {
  const folder = tempDir();
  const root = path.resolve(import.meta.dirname, '../../..');
  const proto = path.join(folder, 'work.proto');
  writeFileSync(proto, readFileSync(path.join(root, 'shared/protocol/work.proto')));
  execFileSync(process.execPath, [path.join(root, 'node_modules/protons/dist/bin/protons.js'), '-o', folder, proto], {
    cwd: folder,
  });
  const source = readFileSync(path.join(folder, 'work.ts'), 'utf8');
  const resolved = source.replaceAll(
    /from '([a-z][^']*)'/g,
    (_, name: string) => `from '${import.meta.resolve(name)}'`,
  );
  writeFileSync(path.join(folder, 'work.mjs'), stripTypeScriptTypes(resolved, { mode: 'transform' }));
  return (await import(pathToFileURL(path.join(folder, 'work.mjs')).href)) as never;
}
