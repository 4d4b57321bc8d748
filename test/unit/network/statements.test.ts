import { readFileSync } from 'node:fs';
import path from 'node:path';
import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPublicKey } from '@libp2p/peer-id';
import fc from 'fast-check';
import secp256k1 from 'secp256k1';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { generatePeerKey, peerKeyFromBytes } from '#core/network/peer-key.ts';
import type { PeerKey } from '#core/network/peer-key.ts';
import { ReplayCache } from '#core/network/statements/replay-cache.ts';
import { createStatements, statementDigest } from '#core/network/statements/statements.ts';
import type { Statements } from '#core/network/statements/statements.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import { decodeSealed, decodeStatement, encodeSealed, encodeStatement } from '#shared/protocol/statement.ts';
import type { Statement } from '#shared/protocol/statement.ts';

const { clockSkewMs, payloadBytes, ttlMs } = LIMITS.statement;
const payload = Uint8Array.of(1, 2, 3);
const start = 1_800_000_000_000;

describe('signed statements', () => {
  let key: PeerKey;
  let now: number;
  let seen: ReplayCache;
  let statements: Statements;
  beforeAll(async () => {
    key = await generatePeerKey();
  });
  beforeEach(() => {
    now = start;
    seen = new ReplayCache();
    statements = createStatements({ networkId: 'net', key, now: () => now });
  });
  const seal = (ttl = 60_000): Uint8Array => statements.seal('offer', payload, ttl);
  const unseal = (bytes: Uint8Array) => statements.unseal('offer', bytes, seen);

  /** Signs a statement with any fields changed, as a hostile peer with a valid key can. */
  function forge(change: Partial<Statement>, signer = key): Uint8Array {
    const sealed = decodeSealed(seal());
    const honest = sealed.ok ? decodeStatement(sealed.value.statement) : sealed;
    if (!honest.ok) throw new Error('an honest statement is readable');
    const statement = encodeStatement({ ...honest.value, ...change });
    return encodeSealed({ statement, signature: signer.signCompact(statementDigest(statement)) });
  }

  it('tell sender, payload and expiry to whoever unseals them', () => {
    expect(unseal(seal())).toEqual({
      ok: true,
      value: { sender: key.peerId, payload, expiresAt: start + 60_000 },
    });
  });

  it('are accepted once', () => {
    const sealed = seal();
    expect(unseal(sealed).ok).toBe(true);
    expect(unseal(sealed)).toMatchObject({ ok: false, error: { code: 'network.statement_replayed' } });
  });

  it('cannot be replayed in another dress: extra unknown fields around the same statement', () => {
    const sealed = seal();
    expect(unseal(sealed).ok).toBe(true);
    const dressed = Uint8Array.from([...sealed, 0x78, 0x01]);
    expect(unseal(dressed)).toMatchObject({ ok: false, error: { code: 'network.statement_replayed' } });
  });

  it('expire, with an allowance for clocks that differ', () => {
    const sealed = seal(10_000);
    now = start + 10_000 + clockSkewMs - 1;
    expect(unseal(sealed).ok).toBe(true);
    now += 1;
    expect(unseal(sealed)).toMatchObject({ ok: false, error: { code: 'network.statement_expired' } });
  });

  it('from a clock that runs ahead are accepted within the allowance, beyond it refused without blame', () => {
    const sealed = seal();
    now = start - clockSkewMs;
    expect(unseal(sealed).ok).toBe(true);
    now -= 1;
    expect(unseal(sealed)).toMatchObject({ ok: false, error: { code: 'network.statement_expired' } });
  });

  it.each<[string, Partial<Statement>]>([
    ['another network', { networkId: 'other' }],
    ['another kind', { kind: 'lease' }],
    ['another version', { version: 2 }],
    ['a nonce of 8 bytes', { nonce: new Uint8Array(8) }],
    ['a sender that is no key', { sender: new Uint8Array(39).fill(7) }],
    ['an expiry before its issue', { expiresAtMs: start - 1 }],
    ['a life longer than allowed', { expiresAtMs: start + ttlMs + 1 }],
    ['a payload above its bound', { payload: new Uint8Array(payloadBytes + 1) }],
  ])('of %s are refused', (_, change) => {
    expect(unseal(forge(change))).toMatchObject({ ok: false, error: { code: 'network.statement_invalid' } });
    expect(seen.size).toBe(0);
  });

  it('signed by somebody else than their sender are refused', async () => {
    const other = await generatePeerKey();
    expect(unseal(forge({}, other))).toMatchObject({ ok: false, error: { code: 'network.statement_invalid' } });
  });

  it('of a sender whose key is not secp256k1 are refused', async () => {
    const ed25519 = await generateKeyPair('Ed25519');
    const sender = peerIdFromPublicKey(ed25519.publicKey).toMultihash().bytes;
    expect(unseal(forge({ sender }))).toMatchObject({ ok: false, error: { code: 'network.statement_invalid' } });
  });

  it('with a malleated (high s) signature are refused', () => {
    const sealed = decodeSealed(seal());
    if (!sealed.ok) throw new Error('an honest statement is readable');
    const signature = Uint8Array.from(sealed.value.signature);
    signature.set(secp256k1.privateKeyNegate(signature.slice(32)), 32);
    const forged = encodeSealed({ statement: sealed.value.statement, signature });
    expect(unseal(forged)).toMatchObject({ ok: false, error: { code: 'network.statement_invalid' } });
  });

  it('with any one byte changed are refused', () => {
    const honest = seal();
    fc.assert(
      fc.property(fc.nat(honest.byteLength - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const changed = Uint8Array.from(honest);
        changed[at] = (changed[at] ?? 0) ^ flip;
        expect(unseal(changed).ok).toBe(false);
      }),
      { numRuns: 500 },
    );
  });

  it('made of any bytes at all are answered, never thrown at', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(unseal(bytes)).toMatchObject({ ok: false, error: { code: 'network.statement_invalid' } });
      }),
      { numRuns: 1000 },
    );
  });

  it('are not made for longer than allowed, nor with a kind that is no name', () => {
    expect(() => statements.seal('offer', payload, ttlMs + 1)).toThrow(/cannot live/);
    expect(() => statements.seal('Offer!', payload, 1000)).toThrow(/not the name/);
    expect(() => statements.seal('offer', new Uint8Array(payloadBytes + 1), 1000)).toThrow(/payload/);
  });
});

const hex = z.string().regex(/^([0-9a-f]{2})*$/);
const vectorFile = z.object({
  privateKey: hex,
  peerId: z.string(),
  networkId: z.string(),
  kind: z.string(),
  issuedAtMs: z.number(),
  ttlMs: z.number(),
  nonce: hex,
  payload: hex,
  statement: hex,
  digest: hex,
  sealed: hex,
  refused: z.array(z.object({ why: z.string(), sealed: hex, atMs: z.number(), code: z.string() })),
});
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));

describe('the vectors of test/vectors/statements.json', () => {
  const file = path.resolve(import.meta.dirname, '../../vectors/statements.json');
  const vector = vectorFile.parse(JSON.parse(readFileSync(file, 'utf8')));
  const key = peerKeyFromBytes(bytes(vector.privateKey));
  const at = (now: number): Statements =>
    createStatements({ networkId: vector.networkId, key, now: () => now, nonce: () => bytes(vector.nonce) });

  it('are what this program seals', () => {
    const sealed = at(vector.issuedAtMs).seal(vector.kind, bytes(vector.payload), vector.ttlMs);
    expect(Buffer.from(sealed).toString('hex')).toBe(vector.sealed);
    const envelope = decodeSealed(sealed);
    expect(envelope.ok && Buffer.from(envelope.value.statement).toString('hex')).toBe(vector.statement);
    expect(Buffer.from(statementDigest(bytes(vector.statement))).toString('hex')).toBe(vector.digest);
  });

  it('are what it unseals', () => {
    expect(at(vector.issuedAtMs).unseal(vector.kind, bytes(vector.sealed), new ReplayCache())).toEqual({
      ok: true,
      value: { sender: vector.peerId, payload: bytes(vector.payload), expiresAt: vector.issuedAtMs + vector.ttlMs },
    });
  });

  it.each(vector.refused)('refuse $why with $code', ({ sealed, atMs, code }) => {
    expect(at(atMs).unseal(vector.kind, bytes(sealed), new ReplayCache())).toMatchObject({
      ok: false,
      error: { code },
    });
  });
});
