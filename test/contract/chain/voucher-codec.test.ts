import { readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { TypedDataEncoder } from 'ethers';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Voucher } from '#core/chain/port.ts';
import { Eip712VoucherCodec, VOUCHER_TYPES, voucherDomain } from '#core/chain/vouchers/codec.ts';
import { fastestSecp256k1, loadSecp256k1, SECP256K1_NAMES, type Secp256k1 } from '#core/chain/vouchers/secp256k1.ts';
import { recoverAddress, signDigest } from '#core/chain/vouchers/signature.ts';
import { wei, type Address, type Hex } from '#shared/units.ts';
import { newActor } from './evm-harness.ts';

interface Vector {
  readonly chainId: number;
  readonly channels: Address;
  readonly channelId: Hex;
  readonly cumulativeWei: string;
  readonly expiresAt: number;
  readonly domainSeparator: Hex;
  readonly digest: Hex;
  readonly privateKey: Hex;
  readonly signer: Address;
  readonly signature: Hex;
}

const { vectors } = JSON.parse(
  readFileSync(path.resolve(import.meta.dirname, '../../vectors/vouchers.json'), 'utf8'),
) as { readonly vectors: readonly Vector[] };

const CHANNELS: Address = `0x${'c1'.repeat(20)}`;
const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const bytes = (hex: string) => new Uint8Array(Buffer.from(hex.slice(2), 'hex'));
const hexOf = (raw: Uint8Array): Hex => `0x${Buffer.from(raw).toString('hex')}`;

describe.each(SECP256K1_NAMES)('vouchers with %s', (name) => {
  let secp256k1: Secp256k1;
  let codec: Eip712VoucherCodec;
  const signer = newActor();

  beforeAll(async () => {
    secp256k1 = await loadSecp256k1(name);
    codec = new Eip712VoucherCodec(31_337, CHANNELS, secp256k1);
  });

  const signed = (): Voucher =>
    codec.sign(
      { channelId: `0x${'ab'.repeat(32)}`, cumulativeWei: wei(7n), expiresAt: 1_900_000_000 },
      signer.privateKey,
    );

  it('are those of the published vectors, to the byte', () => {
    expect(vectors.length).toBeGreaterThan(3);
    for (const vector of vectors) {
      const own = new Eip712VoucherCodec(vector.chainId, vector.channels, secp256k1);
      const { channelId, expiresAt } = vector;
      const terms = { channelId, cumulativeWei: wei(BigInt(vector.cumulativeWei)), expiresAt };
      expect(hexOf(own.digest(terms)!)).toBe(vector.digest);
      const voucher = own.sign(terms, bytes(vector.privateKey));
      expect(voucher.signature).toBe(vector.signature);
      expect(own.recover(voucher)).toBe(vector.signer.toLowerCase());
    }
  });

  it('sign and recover whatever fits the contract’s types, with the digest of EIP-712', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }),
        fc.maxSafeNat(),
        (id, amount, expiresAt) => {
          const terms = { channelId: hexOf(id), cumulativeWei: wei(amount), expiresAt };
          const domain = voucherDomain(31_337, CHANNELS);
          expect(hexOf(codec.digest(terms)!)).toBe(TypedDataEncoder.hash(domain, VOUCHER_TYPES, terms));
          expect(codec.recover(codec.sign(terms, signer.privateKey))).toBe(signer.address.toLowerCase());
        },
      ),
      { numRuns: 25 },
    );
  });

  it('recover somebody else, or nobody, once any part is changed', () => {
    const voucher = signed();
    const changed: readonly Voucher[] = [
      { ...voucher, channelId: `0x${'ac'.repeat(32)}` },
      { ...voucher, cumulativeWei: wei(8n) },
      { ...voucher, expiresAt: voucher.expiresAt + 1 },
    ];
    for (const one of changed) expect(codec.recover(one)).not.toBe(signer.address.toLowerCase());
    const elsewhere = new Eip712VoucherCodec(31_338, CHANNELS, secp256k1);
    expect(elsewhere.recover(voucher)).not.toBe(signer.address.toLowerCase());
  });

  it('are refused with the twin signature that has a high s', () => {
    const voucher = signed();
    const raw = bytes(voucher.signature);
    const s = ORDER - BigInt(hexOf(raw.subarray(32, 64)));
    const twin: Hex = `${hexOf(raw.subarray(0, 32))}${s.toString(16).padStart(64, '0')}${raw[64] === 27 ? '1c' : '1b'}`;
    expect(codec.recover({ ...voucher, signature: twin })).toBeUndefined();
  });

  it.each([
    ['empty', '0x'],
    ['short', `0x${'11'.repeat(64)}`],
    ['long', `0x${'11'.repeat(66)}`],
    ['not hexadecimal', `0x${'zz'.repeat(65)}`],
    ['with r zero', `0x${'00'.repeat(32)}${'11'.repeat(32)}1b`],
    ['with s zero', `0x${'11'.repeat(32)}${'00'.repeat(32)}1b`],
    ['with r over the order', `0x${'ff'.repeat(32)}${'11'.repeat(32)}1b`],
    ['with v 0', `0x${'11'.repeat(64)}00`],
    ['with v 29', `0x${'11'.repeat(64)}1d`],
  ])('with a signature that is %s are nobody’s', (_what, signature) => {
    expect(codec.recover({ ...signed(), signature: signature as Hex })).toBeUndefined();
  });

  it('cannot be signed or recovered with terms outside the contract’s types', () => {
    const good = signed();
    for (const bad of [
      { ...good, channelId: '0x12' as Hex },
      { ...good, cumulativeWei: wei(-1n) },
      { ...good, cumulativeWei: wei(2n ** 128n) },
      { ...good, expiresAt: -1 },
      { ...good, expiresAt: 1.5 },
      { ...good, expiresAt: Number.NaN },
    ]) {
      expect(codec.recover(bad)).toBeUndefined();
      expect(() => codec.sign(bad, signer.privateKey)).toThrow(RangeError);
    }
  });

  it('come out the same as noble’s for any digest and key, whole and recovered', async () => {
    const noble = await loadSecp256k1('noble');
    const word = fc.uint8Array({ minLength: 32, maxLength: 32 });
    fc.assert(
      fc.property(word, word, (digest, key) => {
        fc.pre(BigInt(hexOf(key)) > 0n && BigInt(hexOf(key)) < ORDER);
        const signature = signDigest(secp256k1, digest, key);
        expect(hexOf(signature)).toBe(hexOf(signDigest(noble, digest, key)));
        expect(recoverAddress(secp256k1, digest, signature)).toBe(recoverAddress(noble, digest, signature));
      }),
      { numRuns: 25 },
    );
  });
});

describe('the choice at start', () => {
  it('falls on one of the three, and on the addon where it has a build', async () => {
    const chosen = await fastestSecp256k1();
    expect(SECP256K1_NAMES).toContain(chosen.name);
    const addon = await loadSecp256k1('addon').catch(() => undefined);
    expect(chosen.name === 'addon').toBe(addon !== undefined);
  });
});
