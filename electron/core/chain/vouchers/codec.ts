import { TypedDataEncoder, id, keccak256, type TypedDataDomain, type TypedDataField } from 'ethers';
import type { Address } from '#shared/units.ts';
import type { Voucher, VoucherCodec } from '../port.ts';
import type { Secp256k1 } from './secp256k1.ts';
import { recoverAddress, signDigest } from './signature.ts';

/** EIP-712 types of a voucher, as the PaymentChannels contract has them. */
export const VOUCHER_TYPES: Record<string, TypedDataField[]> = {
  Voucher: [
    { name: 'channelId', type: 'bytes32' },
    { name: 'cumulativeWei', type: 'uint128' },
    { name: 'expiresAt', type: 'uint64' },
  ],
};

export function voucherDomain(chainId: number, channels: Address): TypedDataDomain {
  return { name: 'Hearth PaymentChannels', version: '1', chainId, verifyingContract: channels };
}

export type VoucherTerms = Omit<Voucher, 'signature'>;

const TYPE_HASH = id('Voucher(bytes32 channelId,uint128 cumulativeWei,uint64 expiresAt)');
const MAX_CUMULATIVE = 2n ** 128n - 1n;
const HASH_PATTERN = /^0x[0-9a-fA-F]{64}$/;
const SIGNATURE_PATTERN = /^0x[0-9a-fA-F]{130}$/;

/**
 * Signs and checks vouchers of one PaymentChannels contract. Layout of the digest (EIP-712):
 * keccak256(0x1901 ‖ domain separator ‖ keccak256(type hash ‖ channelId ‖ cumulativeWei ‖ expiresAt)).
 * The domain separator is computed once; buffers are reused, so one codec serves one thread.
 */
export class Eip712VoucherCodec implements VoucherCodec {
  readonly #secp256k1: Secp256k1;
  readonly #struct = Buffer.alloc(128);
  readonly #message = Buffer.alloc(66);

  constructor(chainId: number, channels: Address, secp256k1: Secp256k1) {
    this.#secp256k1 = secp256k1;
    this.#struct.write(TYPE_HASH.slice(2), 0, 'hex');
    this.#message.writeUInt16BE(0x1901, 0);
    this.#message.write(TypedDataEncoder.hashDomain(voucherDomain(chainId, channels)).slice(2), 2, 'hex');
  }

  /** Throws RangeError where the terms do not fit the contract's types. */
  sign(terms: VoucherTerms, privateKey: Uint8Array): Voucher {
    const digest = this.digest(terms);
    if (digest === undefined) throw new RangeError('these voucher terms cannot be signed: out of range');
    const signature = signDigest(this.#secp256k1, digest, privateKey);
    return { ...terms, signature: `0x${Buffer.from(signature).toString('hex')}` };
  }

  recover(voucher: Voucher): Address | undefined {
    const digest = this.digest(voucher);
    if (digest === undefined || !SIGNATURE_PATTERN.test(voucher.signature)) return undefined;
    return recoverAddress(this.#secp256k1, digest, Buffer.from(voucher.signature.slice(2), 'hex'));
  }

  /** The 32 bytes that are signed; undefined where the terms do not fit the contract's types. */
  digest(terms: VoucherTerms): Uint8Array | undefined {
    const { channelId, cumulativeWei, expiresAt } = terms;
    if (!HASH_PATTERN.test(channelId)) return undefined;
    if (cumulativeWei < 0n || cumulativeWei > MAX_CUMULATIVE) return undefined;
    if (!Number.isSafeInteger(expiresAt) || expiresAt < 0) return undefined;
    this.#struct.write(channelId.slice(2), 32, 'hex');
    this.#struct.writeBigUInt64BE(cumulativeWei >> 64n, 80);
    this.#struct.writeBigUInt64BE(cumulativeWei & 0xffff_ffff_ffff_ffffn, 88);
    this.#struct.writeBigUInt64BE(BigInt(expiresAt), 120);
    this.#message.write(keccak256(this.#struct).slice(2), 34, 'hex');
    return Buffer.from(keccak256(this.#message).slice(2), 'hex');
  }
}
