import type { Channel } from '#core/chain/port.ts';
import { appError, type AppError } from '#shared/errors.ts';
import { sameAddress, type Address, type Wei } from '#shared/units.ts';

export type ChannelFault = AppError<
  'channel.not_ours' | 'channel.closing' | 'channel.short_notice' | 'channel.too_little'
>;

export interface ChannelNeeds {
  /** Where our pay goes. */
  readonly payee: Address;
  /** Time we need between a payer's notice and its refund. */
  readonly minChallengeSeconds: number;
  /** What must be left in it above what was paid before. */
  readonly minLeftWei: Wei;
  /** Cumulative of the newest voucher held. */
  readonly heldWei: Wei;
}

/** Whether work may be done on the promise of this channel; undefined where it may. */
export function channelFault(channel: Channel, needs: ChannelNeeds): ChannelFault | undefined {
  const data = { channelId: channel.channelId };
  if (!sameAddress(channel.payee, needs.payee)) {
    return appError('channel.not_ours', 'The requester offered a payment channel that pays somebody else.', { data });
  }
  if (channel.closed === true || channel.closeAt !== undefined) {
    return appError('channel.closing', 'The requester offered a payment channel that is being closed.', { data });
  }
  if (channel.challengeSeconds < needs.minChallengeSeconds) {
    return appError(
      'channel.short_notice',
      'The requester could take its money back faster than it can be claimed here.',
      {
        data: { ...data, challengeSeconds: channel.challengeSeconds },
      },
    );
  }
  const spokenFor = channel.settledWei > needs.heldWei ? channel.settledWei : needs.heldWei;
  if (channel.depositWei - spokenFor < needs.minLeftWei) {
    return appError(
      'channel.too_little',
      'The requester’s payment channel does not hold enough for the work it asks for.',
      {
        data: { ...data, depositWei: channel.depositWei.toString(), spokenForWei: spokenFor.toString() },
      },
    );
  }
  return undefined;
}
