import { AbiCoder, type ErrorDescription } from 'ethers';
import { appError } from '#shared/errors.ts';
import { channelsContract, identityContract, reputationContract, tokenContract } from './abi.ts';
import type { ChainError } from './port.ts';

/** PaymentChannels.Refusal, by its number. */
export const VOUCHER_REFUSALS = [
  'None',
  'NoChannel',
  'NotPayee',
  'NothingNew',
  'Expired',
  'OverDeposit',
  'Forged',
] as const;
export type VoucherRefusal = (typeof VOUCHER_REFUSALS)[number];

export function voucherRefusal(index: bigint): VoucherRefusal {
  return VOUCHER_REFUSALS[Number(index)] ?? 'None';
}

const SENTENCES: Readonly<Record<string, string>> = {
  AlreadyOpened: 'This channel was opened before.',
  AlreadyRevoked: 'This feedback was revoked before.',
  ChannelClosed: 'The payment channel is closed.',
  ClosePending: 'The payer has given notice for this channel; it cannot be topped up or given notice again.',
  InvalidFeedback: 'The feedback is outside what the contract accepts.',
  InvalidTerms: 'The contract does not accept these terms for a channel.',
  NoChannel: 'There is no such payment channel.',
  NotACustomer: 'Only someone who has paid this node for work may rate it.',
  NotPayee: 'Only the channel’s payee may do this.',
  NotPayer: 'Only the channel’s payer may do this.',
  ProofExpired: 'The proof is too old, or this machine’s clock is wrong.',
  ProofForged: 'The proof was not signed by the key it names.',
  SelfFeedback: 'A node’s owner may not rate it.',
  TooEarly: 'The notice of this channel has not run out yet.',
  UnsupportedToken: 'The token takes a fee on transfers, so channels cannot hold it.',
  'VoucherRefused.Expired': 'The voucher has expired.',
  'VoucherRefused.Forged': 'The voucher was not signed by the channel’s signer.',
  'VoucherRefused.NoChannel': 'The voucher is for a channel that does not exist.',
  'VoucherRefused.NotPayee': 'The voucher pays somebody else.',
  'VoucherRefused.NothingNew': 'The voucher was settled before.',
  'VoucherRefused.OverDeposit': 'The voucher is for more than the channel holds.',
};

const CONTRACTS = [channelsContract, identityContract, reputationContract, tokenContract];

function parse(data: string): ErrorDescription | undefined {
  for (const contract of CONTRACTS) {
    const parsed = contract.interface.parseError(data);
    if (parsed) return parsed;
  }
  return undefined;
}

/** Name of the contract's error, with the reason for VoucherRefused ("VoucherRefused.Expired"). */
export function revertName(data: string): string | undefined {
  const parsed = parse(data);
  if (parsed === undefined) return undefined;
  return parsed.name === 'VoucherRefused'
    ? `VoucherRefused.${voucherRefusal(BigInt(String(parsed.args[1])))}`
    : parsed.name;
}

/** A revert's data as a coded error with a sentence. `data.reason` carries the contract's name for it. */
export function explainRevert(data: string): ChainError {
  const name = revertName(data);
  if (name === 'ERC20InsufficientBalance') {
    return appError('chain.insufficient_tokens', 'The wallet does not hold enough tokens for this.', {
      remedy: 'Add tokens to the wallet.',
      data: { reason: name },
    });
  }
  const reason = name === 'Error' ? errorText(data) : (name ?? 'unknown');
  return appError('chain.reverted', SENTENCES[reason] ?? `The contract refused this (${reason}).`, {
    data: { reason },
  });
}

/** Why a voucher was passed over in a batch. */
export function explainVoucherRefusal(refusal: VoucherRefusal): ChainError {
  const reason = `VoucherRefused.${refusal}`;
  return appError('chain.reverted', SENTENCES[reason] ?? 'The voucher was refused.', { data: { reason } });
}

/** Text of Solidity's Error(string). */
function errorText(data: string): string {
  try {
    return String(AbiCoder.defaultAbiCoder().decode(['string'], `0x${data.slice(10)}`)[0]).slice(0, 200);
  } catch {
    return 'unknown';
  }
}
