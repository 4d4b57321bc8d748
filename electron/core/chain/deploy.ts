import { AbiCoder, Transaction, Wallet, getCreateAddress } from 'ethers';
import { z } from 'zod';
import { hearthTokenBytecode } from '#shared/contracts/generated/hearth-token.ts';
import { identityRegistryBytecode } from '#shared/contracts/generated/identity-registry.ts';
import { paymentChannelsBytecode } from '#shared/contracts/generated/payment-channels.ts';
import { reputationRegistryBytecode } from '#shared/contracts/generated/reputation-registry.ts';
import type { Address, Hex } from '#shared/units.ts';
import { hash32, hexBytes, quantity, smallQuantity, toQuantity } from './rpc/quantity.ts';
import type { RpcRequest } from './rpc/rpc.ts';

/** What a network file needs to know of a deployment. */
export interface Deployment {
  readonly contracts: {
    readonly token: Address;
    readonly identity: Address;
    readonly reputation: Address;
    readonly channels: Address;
  };
  readonly token: { readonly symbol: string; readonly decimals: number };
  /** Block of the first of the four transactions. */
  readonly deployBlock: number;
}

export interface DeployOptions {
  readonly request: RpcRequest;
  readonly chainId: number;
  /** Key of an account that does nothing but this deployment: the addresses follow from its first four nonces. */
  readonly deployerKey: Hex;
  /** Receives the whole supply of the token. */
  readonly treasury: Address;
  readonly tokenSupplyWei: bigint;
  /** Waits between two looks for a receipt; default 500 ms. */
  readonly pollMs?: number;
  readonly signal?: AbortSignal;
}

const receiptSchema = z.object({ status: quantity, blockNumber: smallQuantity }).nullable();
const DEPLOY_GAS = 5_000_000n;

/**
 * Deploys token, identity, reputation and channels, or finds them where an earlier call, even one that was cut
 * short, has put them: contract number i is the deployer's transaction with nonce i. Safe to repeat.
 */
export async function deployContracts(options: DeployOptions): Promise<Deployment> {
  const deployer = new Wallet(options.deployerKey);
  const at = (nonce: number) => getCreateAddress({ from: deployer.address, nonce }) as Address;
  const [token, identity, channels, reputation] = [at(0), at(1), at(2), at(3)];
  const coder = AbiCoder.defaultAbiCoder();
  const code = (bytecode: string, types: readonly string[], values: readonly unknown[]) =>
    bytecode + coder.encode(types, values).slice(2);
  const creations: readonly [Address, string][] = [
    [token, code(hearthTokenBytecode, ['address', 'uint256'], [options.treasury, options.tokenSupplyWei])],
    [identity, identityRegistryBytecode],
    [channels, code(paymentChannelsBytecode, ['address'], [token])],
    [reputation, code(reputationRegistryBytecode, ['address', 'address'], [identity, channels])],
  ];
  const call = (method: string, params: readonly unknown[]) => options.request(method, params, options.signal);
  for (const [nonce, [address, data]] of creations.entries()) {
    if (hexBytes.parse(await call('eth_getCode', [address, 'latest'])) !== '0x') continue;
    const next = smallQuantity.parse(await call('eth_getTransactionCount', [deployer.address, 'latest']));
    if (next > nonce) throw new Error(`the deployer's account did other things: nonce ${next}, expected ${nonce}`);
    const gasPrice = quantity.parse(await call('eth_gasPrice', []));
    const transaction = Transaction.from({
      type: 2,
      chainId: options.chainId,
      nonce,
      data,
      gasLimit: DEPLOY_GAS,
      maxFeePerGas: gasPrice * 2n,
      maxPriorityFeePerGas: gasPrice < 1_000_000_000n ? gasPrice : 1_000_000_000n,
    });
    const raw = await deployer.signTransaction(transaction);
    await mined(options, hash32.parse(await call('eth_sendRawTransaction', [raw])));
  }
  return {
    contracts: { token, identity, reputation, channels },
    token: { symbol: 'HEARTH', decimals: 18 },
    deployBlock: await firstBlockWithCode(call, token),
  };
}

async function mined(options: DeployOptions, hash: Hex): Promise<void> {
  for (;;) {
    const receipt = receiptSchema.parse(await options.request('eth_getTransactionReceipt', [hash], options.signal));
    if (receipt) {
      if (receipt.status !== 1n) throw new Error(`deployment ${hash} failed`);
      return;
    }
    options.signal?.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, options.pollMs ?? 500));
  }
}

/** Block in which the account first had code, by bisection: about 25 calls for any chain, none kept on disk. */
async function firstBlockWithCode(
  call: (method: string, params: readonly unknown[]) => Promise<unknown>,
  address: Address,
): Promise<number> {
  let low = 0;
  let high = smallQuantity.parse(await call('eth_blockNumber', []));
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const code = hexBytes.parse(await call('eth_getCode', [address, toQuantity(middle)]));
    if (code === '0x') low = middle + 1;
    else high = middle;
  }
  return low;
}
