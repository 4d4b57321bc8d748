import { AbiCoder, ZeroAddress, keccak256 } from 'ethers';
import { LIMITS } from '#shared/protocol/limits.ts';
import { sameAddress, wei, type Address, type Hex, type Wei } from '#shared/units.ts';
import { channelsContract, eventTopic, tokenContract } from './abi.ts';
import { attempt, fail, toChainError } from './errors.ts';
import { Mutex } from './mutex.ts';
import type { PermitSigner } from './permit.ts';
import type { Channel, Channels, Settlement, Voucher } from './port.ts';
import type { ContractReader } from './reader.ts';
import { explainVoucherRefusal, voucherRefusal } from './reverts.ts';
import type { Log, Receipt, TransactionSender } from './transactions.ts';
import { compactSignature } from './vouchers/signature.ts';

export interface ChannelsOptions {
  readonly chainId: number;
  readonly account: Address;
  readonly channels: Address;
  readonly token: Address;
  readonly reader: ContractReader;
  readonly sender: TransactionSender;
  readonly permits: PermitSigner;
}

/** Calls to the chain's server at the same time: public ones count them. */
const READS_AT_ONCE = 16;

type OpenOptions = Parameters<Channels['open']>[0];

/** Id of the channel that `payer` opens with `reference`: known before it is opened. */
export function channelIdOf(chainId: number, channels: Address, payer: Address, reference: Hex): Hex {
  const types = ['uint256', 'address', 'address', 'bytes32'];
  return keccak256(AbiCoder.defaultAbiCoder().encode(types, [chainId, channels, payer, reference])) as Hex;
}

/** Both sides of payment channels over the contract. */
export function createChannels(options: ChannelsOptions): Channels {
  const { chainId, account, channels, sender } = options;
  // Allowances of one account race with each other: one spending at a time.
  const spending = new Mutex();

  const get = (channelId: Hex) => getChannel(options, channelId);

  /** The open channel; coded faults where there is none. */
  async function existing(channelId: Hex): Promise<Channel> {
    return (
      (await get(channelId)) ??
      fail('chain.not_found', 'There is no such payment channel on this chain.', { data: { channelId } })
    );
  }

  return {
    get: (channelId) => attempt(() => existing(channelId)),
    open: (terms) =>
      attempt(() =>
        spending.run(async () => {
          const channelId = channelIdOf(chainId, channels, account, terms.reference);
          const before = await get(channelId);
          if (before) return sameTerms(before, terms);
          await openChannel(options, terms);
          return existing(channelId);
        }),
      ),
    topUp: (channelId, amountWei) =>
      attempt(() =>
        spending.run(async () => {
          await requireTokens(options, amountWei);
          await allow(options, amountWei);
          await sender.send({ to: channels, data: channelsContract.encode('topUp', [channelId, amountWei]) });
          return existing(channelId);
        }),
      ),
    settle: (vouchers) => attempt(() => settle(options, vouchers)),
    close: (channelId, voucher) =>
      attempt(async () => {
        const channel = await existing(channelId);
        if (channel.closed) return undefined;
        const isNews = voucher !== undefined && voucher.cumulativeWei > channel.settledWei;
        const data = isNews
          ? channelsContract.encode('closeWithVoucher', [contractVoucher(voucher)])
          : channelsContract.encode('close', [channelId]);
        return outcome(options, await sender.send({ to: channels, data })).settled[0];
      }),
    requestClose: (channelId) =>
      attempt(async () => {
        const channel = await existing(channelId);
        if (channel.closed || channel.closeAt !== undefined) return;
        await sender.send({ to: channels, data: channelsContract.encode('requestClose', [channelId]) });
      }),
    refund: (channelId) =>
      attempt(async () => {
        if ((await existing(channelId)).closed) return;
        await sender.send({ to: channels, data: channelsContract.encode('refund', [channelId]) });
      }),
  };
}

async function getChannel(options: ChannelsOptions, channelId: Hex): Promise<Channel | undefined> {
  const found = await options.reader.read(options.channels, channelsContract, 'getChannel', [channelId]);
  if (found.payer === ZeroAddress) return undefined;
  const closed = found.signer === ZeroAddress;
  return {
    channelId,
    payer: found.payer,
    payee: found.payee,
    signer: found.signer,
    depositWei: wei(closed ? found.settledWei : found.depositWei),
    settledWei: wei(found.settledWei),
    challengeSeconds: Number(found.challengeSeconds),
    closeAt: found.closeAt === 0n ? undefined : Number(found.closeAt),
    ...(closed ? { closed } : {}),
  };
}

/** A reference names one channel for ever; with other terms it is the caller's mistake, not a repeat. */
function sameTerms(channel: Channel, terms: OpenOptions): Channel {
  if (sameAddress(channel.payee, terms.payee) && (channel.closed || sameAddress(channel.signer, terms.signer))) {
    return channel;
  }
  return fail('chain.reverted', 'This reference already belongs to a channel with other terms.', {
    data: { channelId: channel.channelId, reason: 'AlreadyOpened' },
  });
}

async function openChannel(options: ChannelsOptions, terms: OpenOptions): Promise<void> {
  const { payee, signer, depositWei, reference } = terms;
  await requireTokens(options, depositWei);
  const args = [payee, signer, depositWei, BigInt(terms.challengeSeconds), reference] as const;
  const permit = await options.permits.sign(options.channels, depositWei);
  if (!permit) await allow(options, depositWei);
  const data = permit
    ? channelsContract.encode('openWithPermit', [...args, permit.deadline, permit.v, permit.r, permit.s])
    : channelsContract.encode('open', args);
  try {
    await options.sender.send({ to: options.channels, data });
  } catch (error) {
    // A transaction of an earlier run of this program, mined between our look and now.
    if (toChainError(error).data?.['reason'] !== 'AlreadyOpened') throw error;
  }
}

async function requireTokens(options: ChannelsOptions, neededWei: Wei): Promise<void> {
  const haveWei = await options.reader.read(options.token, tokenContract, 'balanceOf', [options.account]);
  if (haveWei >= neededWei) return;
  fail('chain.insufficient_tokens', 'The wallet does not hold enough tokens for this channel.', {
    remedy: `Send tokens to ${options.account}, or ask for less.`,
    data: { haveWei: haveWei.toString(), needWei: neededWei.toString() },
  });
}

/** Allows the contract exactly this amount: it can then take no more, whatever happens. */
async function allow(options: ChannelsOptions, amountWei: Wei): Promise<void> {
  const { token, channels, account, reader, sender } = options;
  if ((await reader.read(token, tokenContract, 'allowance', [account, channels])) >= amountWei) return;
  await sender.send({ to: token, data: tokenContract.encode('approve', [channels, amountWei]) });
}

async function settle(options: ChannelsOptions, vouchers: readonly Voucher[]): Promise<readonly Settlement[]> {
  const settlements: Settlement[] = [];
  const due = await unsettled(options, vouchers);
  for (let from = 0; from < due.length; from += LIMITS.chain.settleBatchCount) {
    const batch = due.slice(from, from + LIMITS.chain.settleBatchCount).map(contractVoucher);
    const [first] = batch;
    if (!first) break;
    const data =
      batch.length === 1 ? channelsContract.encode('settle', [first]) : channelsContract.encode('settleBatch', [batch]);
    const { settled, refused } = await sendSettlement(options, data);
    settlements.push(...settled);
    if (settlements.length === 0 && refused !== undefined) {
      const error = explainVoucherRefusal(refused);
      fail(error.code, error.message, error);
    }
  }
  return settlements;
}

async function sendSettlement(options: ChannelsOptions, data: Hex): Promise<Outcome> {
  try {
    return outcome(options, await options.sender.send({ to: options.channels, data }));
  } catch (error) {
    // Settled by an earlier run of this program, mined between our look and now.
    if (toChainError(error).data?.['reason'] !== 'VoucherRefused.NothingNew') throw error;
    return { settled: [], refused: undefined };
  }
}

/** The newest voucher of each channel, where the chain has not seen as much yet. */
async function unsettled(options: ChannelsOptions, vouchers: readonly Voucher[]): Promise<readonly Voucher[]> {
  const newest = new Map<Hex, Voucher>();
  for (const voucher of vouchers) {
    const other = newest.get(voucher.channelId);
    if (!other || voucher.cumulativeWei > other.cumulativeWei) newest.set(voucher.channelId, voucher);
  }
  const due: Voucher[] = [];
  const candidates = [...newest.values()];
  for (let from = 0; from < candidates.length; from += READS_AT_ONCE) {
    const some = candidates.slice(from, from + READS_AT_ONCE);
    const channels = await Promise.all(some.map((voucher) => getChannel(options, voucher.channelId)));
    due.push(...some.filter((voucher, i) => voucher.cumulativeWei > (channels[i]?.settledWei ?? 0n)));
  }
  return due;
}

function contractVoucher({ channelId, cumulativeWei, expiresAt, signature }: Voucher) {
  return { channelId, cumulativeWei, expiresAt: BigInt(expiresAt), ...compactSignature(signature) };
}

interface Outcome {
  readonly settled: readonly Settlement[];
  /** Why the first voucher that was passed over was, when not because it was settled before. */
  readonly refused: ReturnType<typeof voucherRefusal> | undefined;
}

const SETTLED = eventTopic(channelsContract, 'Settled');
const SKIPPED = eventTopic(channelsContract, 'VoucherSkipped');

/** What a settlement's events say. Both have two words of data: (paid, cumulative) and (cumulative, reason). */
function outcome(options: ChannelsOptions, receipt: Receipt): Outcome {
  const settled: Settlement[] = [];
  let refused: Outcome['refused'];
  for (const log of receipt.logs) {
    const channelId = log.topics[1];
    if (!sameAddress(log.address, options.channels) || !channelId) continue;
    if (log.topics[0] === SETTLED) {
      settled.push({
        channelId,
        transactionHash: receipt.transactionHash,
        blockNumber: receipt.blockNumber,
        paidWei: wei(word(log, 0)),
        cumulativeWei: wei(word(log, 1)),
      });
    } else if (log.topics[0] === SKIPPED) {
      const reason = voucherRefusal(word(log, 1));
      if (reason !== 'NothingNew') refused ??= reason;
    }
  }
  return { settled, refused };
}

/** The index-th 32-byte word of a log's data. */
function word(log: Log, index: number): bigint {
  return BigInt(`0x${log.data.slice(2 + index * 64, 66 + index * 64)}`);
}
