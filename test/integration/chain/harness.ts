import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { SigningKey, computeAddress } from 'ethers';
import { createChain, type ChainOptions, type EthersChain } from '#core/chain/chain.ts';
import type { ChainError } from '#core/chain/port.ts';
import { startPracticeChain, type PracticeChain, type PracticeOptions } from '#core/chain/practice/chain.ts';
import type { NetworkFile } from '#shared/model/network-file.ts';
import type { Result } from '#shared/result.ts';
import { wei, type Address, type Hex } from '#shared/units.ts';

export const COIN = 10n ** 18n;

/** The value of a result that must be good. */
export function value<T>(result: Result<T, { readonly code: string; readonly message: string }>): T {
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.message} ${JSON.stringify(result.error)}`);
  return result.value;
}

/** The error of a result that must be bad. */
export function failure<T>(result: Result<T, ChainError>): ChainError {
  if (result.ok) throw new Error('expected an error');
  return result.error;
}

export interface TestWallet {
  readonly address: Address;
  readonly privateKey: Uint8Array;
}

export function newWallet(): TestWallet {
  const privateKey = new Uint8Array(randomBytes(32));
  return { address: computeAddress(new SigningKey(privateKey)) as Address, privateKey };
}

export function newReference(): Hex {
  return `0x${randomBytes(32).toString('hex')}`;
}

export async function temporaryDirectory(): Promise<string> {
  return mkdtemp(path.join(tmpdir(), 'hearth-chain-'));
}

export async function removeDirectory(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true });
}

export async function practiceChain(options: PracticeOptions): Promise<PracticeChain> {
  return value(await startPracticeChain(options));
}

export function networkFileOf(practice: PracticeChain, rpcUrls: readonly string[] = [practice.url]): NetworkFile {
  return {
    version: 1,
    networkId: 'test',
    chain: {
      chainId: practice.chainId,
      rpcUrls: [...rpcUrls],
      contracts: practice.contracts,
      token: practice.token,
      deployBlock: practice.deployBlock,
    },
    bootstrap: ['/ip4/127.0.0.1/tcp/1'],
    stun: [],
  };
}

/** A chain for a fresh, funded account. */
export async function fundedChain(
  practice: PracticeChain,
  options: Partial<ChainOptions> & { readonly tokens?: bigint; readonly gas?: bigint } = {},
): Promise<EthersChain & { readonly wallet: TestWallet }> {
  const wallet = options.wallet ?? newWallet();
  await practice.faucet(wallet.address, wei(options.gas ?? COIN), wei(options.tokens ?? 100n * COIN));
  const chain = await createChain({ networkFile: networkFileOf(practice), ...options, wallet });
  return { ...chain, wallet };
}

/** Seconds from now on the chain's clock. */
export function inSeconds(practice: PracticeChain, seconds: number): number {
  return practice.tip().timestamp + seconds;
}
