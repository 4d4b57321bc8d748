import { randomBytes } from 'node:crypto';
import { AbiCoder, Transaction, Wallet, getCreateAddress } from 'ethers';
import type { Abi, ExtractAbiFunctionNames } from 'abitype';
import {
  channelsContract,
  identityContract,
  reputationContract,
  tokenContract,
  type Answer,
  type ContractAbi,
  type Inputs,
} from '#core/chain/abi.ts';
import { deployContracts, type Deployment } from '#core/chain/deploy.ts';
import { createEvm } from '#core/chain/practice/evm.ts';
import { revertName } from '#core/chain/reverts.ts';
import { RpcFault, type RpcRequest } from '#core/chain/rpc/rpc.ts';
import { Eip712VoucherCodec } from '#core/chain/vouchers/codec.ts';
import { loadSecp256k1 } from '#core/chain/vouchers/secp256k1.ts';
import { compactSignature } from '#core/chain/vouchers/signature.ts';
import type { Voucher } from '#core/chain/port.ts';
import { wei, type Address, type Hex } from '#shared/units.ts';

export const COIN = 10n ** 18n;
export const DAY = 24 * 3600;

/** An account with coins, tokens and an unlimited allowance for the channels contract. */
export interface Actor {
  readonly address: Address;
  readonly privateKey: Uint8Array;
  readonly wallet: Wallet;
}

export interface Outcome {
  readonly ok: boolean;
  readonly gasUsed: bigint;
  /** The contract's name for its refusal. */
  readonly revert: string | undefined;
  readonly logs: readonly { readonly address: Address; readonly topics: readonly Hex[]; readonly data: Hex }[];
}

interface RawReceipt {
  readonly status: Hex;
  readonly gasUsed: Hex;
  readonly logs: Outcome['logs'];
}

const SUPPLY = 1_000_000_000n * COIN;

/** An EVM in this process with the contracts on it and a few rich actors. */
export class TestChain {
  readonly request: RpcRequest;
  readonly chainId: number;
  readonly actors: readonly Actor[];
  readonly contracts: Deployment['contracts'];
  readonly codec: Eip712VoucherCodec;

  private constructor(parts: Pick<TestChain, 'request' | 'chainId' | 'actors' | 'contracts' | 'codec'>) {
    this.request = parts.request;
    this.chainId = parts.chainId;
    this.actors = parts.actors;
    this.contracts = parts.contracts;
    this.codec = parts.codec;
  }

  static async create(options: { readonly actors?: number; readonly chainId?: number } = {}): Promise<TestChain> {
    const chainId = options.chainId ?? 31_337;
    const actors = Array.from({ length: options.actors ?? 4 }, newActor);
    const deployer = newActor();
    const request = await createEvm({
      chainId,
      hardfork: 'Prague',
      time: 1_800_000_000,
      balances: [deployer, ...actors].map((actor) => ({ address: actor.address, wei: 1_000_000n * COIN })),
    });
    const treasury = actors[0]!;
    const { contracts } = await deployContracts({
      request,
      chainId,
      deployerKey: deployer.wallet.privateKey as Hex,
      treasury: treasury.address,
      tokenSupplyWei: SUPPLY,
    });
    const codec = new Eip712VoucherCodec(chainId, contracts.channels, await loadSecp256k1('addon'));
    const chain = new TestChain({ request, chainId, actors, contracts, codec });
    for (const actor of actors.slice(1)) {
      await chain.must(treasury, contracts.token, tokenContract.encode('transfer', [actor.address, SUPPLY / 10n]));
    }
    for (const actor of actors) {
      await chain.must(actor, contracts.token, tokenContract.encode('approve', [contracts.channels, 2n ** 256n - 1n]));
    }
    return chain;
  }

  /** Signs, mines, and says how it ended. */
  async send(from: Actor, to: Address, data: Hex): Promise<Outcome> {
    const hash = await this.#broadcast(from, { to, data });
    const receipt = (await this.request('eth_getTransactionReceipt', [hash])) as RawReceipt;
    const ok = receipt.status === '0x1';
    return {
      ok,
      gasUsed: BigInt(receipt.gasUsed),
      revert: ok ? undefined : await this.#reason(from, to, data),
      logs: receipt.logs,
    };
  }

  async must(from: Actor, to: Address, data: Hex): Promise<Outcome> {
    const outcome = await this.send(from, to, data);
    if (!outcome.ok) throw new Error(`reverted: ${outcome.revert}`);
    return outcome;
  }

  async deploy(from: Actor, bytecode: Hex, types: readonly string[], values: readonly unknown[]): Promise<Address> {
    const nonce = Number(await this.request('eth_getTransactionCount', [from.address, 'latest']));
    await this.#broadcast(from, { data: `${bytecode}${AbiCoder.defaultAbiCoder().encode(types, values).slice(2)}` });
    return getCreateAddress({ from: from.address, nonce }) as Address;
  }

  async read<const A extends Abi, Name extends ExtractAbiFunctionNames<A>>(
    at: Address,
    contract: ContractAbi<A>,
    name: Name,
    args: Inputs<A, Name>,
    from?: Actor,
  ): Promise<Answer<A, Name>> {
    const call = { to: at, data: contract.encode(name, args), ...(from ? { from: from.address } : {}) };
    return contract.decode(name, (await this.request('eth_call', [call, 'latest'])) as string);
  }

  async now(): Promise<number> {
    const block = (await this.request('eth_getBlockByNumber', ['latest', false])) as { readonly timestamp: Hex };
    return Number(block.timestamp);
  }

  /** Puts the next block's time ahead and mines an empty one. */
  async pass(seconds: number): Promise<void> {
    const next = (await this.now()) + seconds;
    await this.request('evm_setNextBlockTimestamp', [`0x${next.toString(16)}`]);
    await this.request('evm_mine', []);
  }

  async balance(of: Address, token = this.contracts.token): Promise<bigint> {
    return this.read(token, tokenContract, 'balanceOf', [of]);
  }

  /** Opens with one day's notice and answers the id. */
  async open(payer: Actor, payee: Address, depositWei: bigint, reference: Hex = randomReference()): Promise<Hex> {
    const { channels } = this.contracts;
    await this.must(payer, channels, openData(payee, payer.address, depositWei, reference));
    return this.read(channels, channelsContract, 'channelIdOf', [payer.address, reference]);
  }

  async voucher(channelId: Hex, cumulativeWei: bigint, signer: Actor, expiresAt?: number): Promise<Voucher> {
    const terms = { channelId, cumulativeWei: wei(cumulativeWei), expiresAt: expiresAt ?? (await this.now()) + DAY };
    return this.codec.sign(terms, signer.privateKey);
  }

  async #broadcast(from: Actor, fields: { readonly to?: Address; readonly data: string }): Promise<unknown> {
    const nonce = Number(await this.request('eth_getTransactionCount', [from.address, 'latest']));
    const signed = await from.wallet.signTransaction(
      Transaction.from({
        type: 2,
        chainId: this.chainId,
        nonce,
        gasLimit: 10_000_000n,
        maxFeePerGas: 10n ** 12n,
        maxPriorityFeePerGas: 1n,
        ...fields,
      }),
    );
    return this.request('eth_sendRawTransaction', [signed]);
  }

  async #reason(from: Actor, to: Address, data: Hex): Promise<string | undefined> {
    try {
      await this.request('eth_call', [{ from: from.address, to, data }, 'latest']);
      return undefined;
    } catch (error) {
      if (!(error instanceof RpcFault)) throw error;
      return error.data === undefined ? error.message : (revertName(error.data) ?? error.data);
    }
  }
}

export function newActor(): Actor {
  const privateKey = new Uint8Array(randomBytes(32));
  const wallet = new Wallet(`0x${Buffer.from(privateKey).toString('hex')}`);
  return { address: wallet.address as Address, privateKey, wallet };
}

export function randomReference(): Hex {
  return `0x${randomBytes(32).toString('hex')}`;
}

export function openData(payee: Address, signer: Address, depositWei: bigint, reference: Hex, challenge = DAY): Hex {
  return channelsContract.encode('open', [payee, signer, depositWei, BigInt(challenge), reference]);
}

/** A voucher as the contract takes it. */
export function forContract({ channelId, cumulativeWei, expiresAt, signature }: Voucher) {
  return { channelId, cumulativeWei, expiresAt: BigInt(expiresAt), ...compactSignature(signature) };
}

export function settleData(voucher: Voucher): Hex {
  return channelsContract.encode('settle', [forContract(voucher)]);
}

export function batchData(vouchers: readonly Voucher[]): Hex {
  return channelsContract.encode('settleBatch', [vouchers.map(forContract)]);
}

export { channelsContract, identityContract, reputationContract, tokenContract };
