import { computeAddress } from 'ethers';
import { Eip712VoucherCodec } from '#core/chain/vouchers/codec.ts';
import { fastestSecp256k1, type Secp256k1 } from '#core/chain/vouchers/secp256k1.ts';
import type {
  AgentIdentity,
  Chain,
  ChainError,
  ChainErrorCode,
  Channel,
  Channels,
  Settlement,
  Voucher,
  VoucherCodec,
} from '#core/chain/port.ts';
import { appError } from '#shared/errors.ts';
import { err, ok, type Result } from '#shared/result.ts';
import { sameAddress, wei, type Address, type Hex, type PeerIdText, type Wei } from '#shared/units.ts';
import { createHash } from 'node:crypto';

export interface FakeAccount {
  readonly address: Address;
  readonly privateKey: Uint8Array;
  readonly chain: Chain;
}

const CONTRACT: Address = `0x${'c0'.repeat(20)}`;
const TOKEN: Address = `0x${'70'.repeat(20)}`;

/**
 * A chain in memory that keeps the contracts' rules: cumulative vouchers with real signatures, deposits, notice,
 * feedback only after pay. It can go away, and it counts what was sent to it.
 */
export class FakeChain {
  readonly pay = { chainId: 31_337, channels: CONTRACT, token: TOKEN };
  readonly channels = new Map<Hex, Channel>();
  readonly agents = new Map<PeerIdText, AgentIdentity>();
  readonly tokens = new Map<string, bigint>();
  readonly feedback: { readonly agentId: bigint; readonly value: number }[] = [];
  /** Names of the transactions that were mined, in order. */
  readonly transactions: string[] = [];
  /** While true every call answers chain.unreachable. */
  away = false;
  private readonly now: () => number;
  private readonly secp256k1: Secp256k1;
  private readonly codec: VoucherCodec;

  private constructor(now: () => number, secp256k1: Secp256k1) {
    this.now = now;
    this.secp256k1 = secp256k1;
    this.codec = new Eip712VoucherCodec(this.pay.chainId, CONTRACT, secp256k1);
  }

  static async create(now: () => number = Date.now): Promise<FakeChain> {
    return new FakeChain(now, await fastestSecp256k1());
  }

  /** An account with tokens, named by a number; the same one each time. */
  account(number: number, tokenWei = 10n ** 24n): FakeAccount {
    const privateKey = createHash('sha256').update(`account ${number}`).digest();
    const address = computeAddress(`0x${privateKey.toString('hex')}`) as Address;
    if (!this.tokens.has(address)) this.tokens.set(address, tokenWei);
    return { address, privateKey, chain: this.chainOf(address) };
  }

  /** Registers a node: peer id, wallet. */
  register(peerId: PeerIdText, wallet: Address): AgentIdentity {
    const agent = { agentId: BigInt(this.agents.size + 1), owner: wallet, wallet, peerId };
    this.agents.set(peerId, agent);
    return agent;
  }

  balance(address: Address): bigint {
    return this.tokens.get(address) ?? 0n;
  }

  /** A codec of another chain: its signatures are worth nothing here. */
  codecOf(chainId: number): VoucherCodec {
    return new Eip712VoucherCodec(chainId, CONTRACT, this.secp256k1);
  }

  private chainOf(address: Address): Chain {
    return {
      address,
      channels: this.channelsOf(address),
      vouchers: this.codec,
      identities: {
        byPeer: async (peer) => this.answer(() => this.agents.get(peer)),
        register: async ({ peerId }) => this.answer(() => this.agents.get(peerId) ?? this.register(peerId, address)),
      },
      reputation: {
        summary: async () => this.answer(() => ({ count: this.feedback.length, score: undefined })),
        giveFeedback: async ({ agentId, value, channelId }) =>
          this.answer(() => {
            if ((this.channels.get(channelId)?.settledWei ?? 0n) === 0n) throw fail('chain.reverted');
            this.transactions.push('feedback');
            this.feedback.push({ agentId, value });
            return '0xfeed';
          }),
      },
      balances: async () => this.answer(() => ({ gasWei: wei(10n ** 18n), tokenWei: wei(this.balance(address)) })),
      check: async () => this.answer(() => ({ blockNumber: this.transactions.length })),
      stop: async () => {},
    };
  }

  private channelsOf(address: Address): Channels {
    const change = <T>(name: string, work: () => T) =>
      this.answer(() => {
        const value = work();
        this.transactions.push(name);
        return value;
      });
    return {
      get: async (channelId) => this.answer(() => this.known(channelId)),
      open: async (terms) => {
        const channelId: Hex = `0x${createHash('sha256').update(`${address}${terms.reference}`).digest('hex')}`;
        if (!this.away && this.channels.has(channelId)) return ok(this.known(channelId));
        return change('open', () => {
          this.move(address, CONTRACT, terms.depositWei);
          return this.put({
            channelId,
            payer: address,
            payee: terms.payee,
            signer: terms.signer,
            depositWei: terms.depositWei,
            settledWei: wei(0n),
            challengeSeconds: terms.challengeSeconds,
            closeAt: undefined,
          });
        });
      },
      topUp: async (channelId, amountWei) =>
        change('topUp', () => {
          const channel = this.known(channelId);
          this.move(address, CONTRACT, amountWei);
          return this.put({ ...channel, depositWei: wei(channel.depositWei + amountWei) });
        }),
      settle: async (vouchers) => change('settle', () => vouchers.flatMap((voucher) => this.redeem(voucher, address))),
      close: async (channelId, voucher) =>
        change('close', () => {
          if (this.known(channelId).closed === true) return undefined;
          const paid = voucher === undefined ? [] : this.redeem(voucher, address);
          this.end(channelId);
          return paid[0];
        }),
      requestClose: async (channelId) =>
        change('requestClose', () => {
          const channel = this.known(channelId);
          this.put({ ...channel, closeAt: Math.floor(this.now() / 1000) + channel.challengeSeconds });
        }),
      refund: async (channelId) =>
        change('refund', () => {
          const { closeAt } = this.known(channelId);
          if (closeAt === undefined || closeAt * 1000 > this.now()) throw fail('chain.reverted');
          this.end(channelId);
        }),
    };
  }

  private redeem(voucher: Voucher, payee: Address): Settlement[] {
    const channel = this.known(voucher.channelId);
    if (voucher.cumulativeWei <= channel.settledWei) return [];
    const signer = this.codec.recover(voucher);
    const isGood =
      channel.closed !== true &&
      sameAddress(channel.payee, payee) &&
      voucher.cumulativeWei <= channel.depositWei &&
      voucher.expiresAt * 1000 >= this.now() &&
      signer !== undefined &&
      sameAddress(signer, channel.signer);
    if (!isGood) throw fail('chain.reverted');
    const paidWei = wei(voucher.cumulativeWei - channel.settledWei);
    this.move(CONTRACT, payee, paidWei);
    this.put({ ...channel, settledWei: voucher.cumulativeWei });
    const { channelId, cumulativeWei } = voucher;
    return [{ channelId, transactionHash: '0xabc', blockNumber: this.transactions.length, paidWei, cumulativeWei }];
  }

  private end(channelId: Hex): void {
    const channel = this.known(channelId);
    this.move(CONTRACT, channel.payer, wei(channel.depositWei - channel.settledWei));
    this.put({ ...channel, depositWei: channel.settledWei, closed: true });
  }

  private known(channelId: Hex): Channel {
    const channel = this.channels.get(channelId);
    if (channel === undefined) throw fail('chain.not_found');
    return channel;
  }

  private put(channel: Channel): Channel {
    this.channels.set(channel.channelId, channel);
    return channel;
  }

  private move(from: Address, to: Address, amountWei: Wei): void {
    const have = this.balance(from);
    if (have < amountWei) throw fail('chain.insufficient_tokens');
    this.tokens.set(from, have - amountWei);
    this.tokens.set(to, this.balance(to) + amountWei);
  }

  private answer<T>(work: () => T): Result<T, ChainError> {
    if (this.away) return err(appError('chain.unreachable', 'The chain is away.'));
    try {
      return ok(work());
    } catch (fault) {
      if (fault instanceof Refusal) return err(fault.error);
      throw fault;
    }
  }
}

class Refusal extends Error {
  readonly error: ChainError;

  constructor(error: ChainError) {
    super(error.message);
    this.error = error;
  }
}

function fail(code: ChainErrorCode): Refusal {
  return new Refusal(appError(code, `fake: ${code}`));
}
