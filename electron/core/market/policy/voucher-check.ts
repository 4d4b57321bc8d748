import type { Voucher, VoucherCodec, VoucherError } from '#core/chain/port.ts';
import { appError } from '#shared/errors.ts';
import { sameAddress, type Address, type Hex, type Wei } from '#shared/units.ts';

export interface VoucherExpectations {
  readonly channelId: Hex;
  /** Hot key that the channel on chain names. */
  readonly signer: Address;
  readonly depositWei: Wei;
  /** Cumulative of the newest voucher held, or what is settled; the new one must be above it. */
  readonly heldWei: Wei;
  /** What all accepted results come to: less than that is not pay. */
  readonly impliedWei: Wei;
  /** Unix seconds: there must be time to settle it. */
  readonly minExpiresAt: number;
}

/** Why a voucher is worth nothing here; undefined for a good one. Cheap checks first, the signature last. */
export function voucherFault(
  voucher: Voucher,
  expected: VoucherExpectations,
  codec: VoucherCodec,
): VoucherError | undefined {
  const data = {
    channelId: voucher.channelId,
    cumulativeWei: voucher.cumulativeWei.toString(),
    expiresAt: voucher.expiresAt,
  };
  if (voucher.channelId.toLowerCase() !== expected.channelId.toLowerCase()) {
    return appError('voucher.wrong_channel', 'The requester paid with a voucher for another channel.', { data });
  }
  if (voucher.cumulativeWei <= expected.heldWei) {
    return appError(
      'voucher.replayed',
      'The requester paid with a voucher that adds nothing to what was paid before.',
      {
        data: { ...data, heldWei: expected.heldWei.toString() },
      },
    );
  }
  if (voucher.cumulativeWei < expected.impliedWei) {
    return appError('voucher.too_small', 'The requester paid less than it accepted.', {
      data: { ...data, impliedWei: expected.impliedWei.toString() },
    });
  }
  if (voucher.cumulativeWei > expected.depositWei) {
    return appError('voucher.over_deposit', 'The requester promised more than its channel holds.', {
      data: { ...data, depositWei: expected.depositWei.toString() },
    });
  }
  if (voucher.expiresAt < expected.minExpiresAt) {
    return appError(
      'voucher.expires_too_soon',
      'The requester paid with a voucher that runs out before it can safely be settled.',
      {
        data: { ...data, minExpiresAt: expected.minExpiresAt },
      },
    );
  }
  const signer = codec.recover(voucher);
  if (signer === undefined) {
    return appError('voucher.malformed', 'The requester paid with a voucher whose signature is none.', { data });
  }
  if (!sameAddress(signer, expected.signer)) {
    return appError(
      'voucher.forged',
      'The requester paid with a voucher that the channel’s key did not sign for this chain and contract.',
      { data: { ...data, signer: expected.signer, recovered: signer } },
    );
  }
  return undefined;
}
