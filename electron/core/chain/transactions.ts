import { setTimeout as delay } from 'node:timers/promises';
import { Signature, Transaction } from 'ethers';
import { z } from 'zod';
import { wei, type Address, type Hex } from '#shared/units.ts';
import { fail, toChainError } from './errors.ts';
import { Mutex } from './mutex.ts';
import { addressText, hash32, hexBytes, quantity, smallQuantity } from './rpc/quantity.ts';
import { RpcFault, RpcUnreachable, type RpcRequest } from './rpc/rpc.ts';
import type { Secp256k1 } from './vouchers/secp256k1.ts';

export interface Log {
  readonly address: Address;
  readonly topics: readonly Hex[];
  readonly data: Hex;
}

export interface Receipt {
  readonly transactionHash: Hex;
  readonly blockNumber: number;
  readonly logs: readonly Log[];
}

export interface Call {
  readonly to: Address;
  readonly data: Hex;
}

export interface SenderOptions {
  readonly request: RpcRequest;
  readonly chainId: number;
  readonly address: Address;
  readonly privateKey: Uint8Array;
  readonly secp256k1: Secp256k1;
  /** Ends every wait; calls then throw its reason. */
  readonly signal: AbortSignal;
  /** How long a transaction may take to be mined; default two minutes. */
  readonly receiptTimeoutMs?: number;
  /** How long the chain may be silent while a receipt is awaited; default 30 s. */
  readonly silenceMs?: number;
}

const RECEIPT_TIMEOUT_MS = 120_000;
const SILENCE_MS = 30_000;
const FIRST_POLL_MS = 50;
const SLOWEST_POLL_MS = 2_000;
/** A transaction no server has mined by then is sent again: pools forget. */
const REBROADCAST_MS = 15_000;
const NONCE_ATTEMPTS = 5;
/** Estimates are exact for the state of now; another's transaction may come first and make ours dearer. */
const GAS_MARGIN_PERCENT = 130n;
const DEFAULT_TIP_WEI = 1_000_000_000n;

const receiptSchema = z
  .object({
    status: quantity,
    transactionHash: hash32,
    blockNumber: smallQuantity,
    logs: z.array(z.object({ address: addressText, topics: z.array(hash32).max(4), data: hexBytes })).max(10_000),
  })
  .nullable();
const baseFeeSchema = z.object({ baseFeePerGas: quantity.optional() });

interface Signed {
  readonly raw: Hex;
  readonly hash: Hex;
}

interface HandedIn extends Signed {
  /** False where no server answered: it may have arrived all the same, so it is waited for and sent again. */
  readonly heard: boolean;
}

/**
 * Sends one account's transactions and waits for their receipts. Many may be under way: signing and handing in go
 * one at a time, so that nonces have no gaps; waiting does not. Keeps nothing on disk: what a crash cuts off is found
 * again on the chain by the callers' own references.
 */
export class TransactionSender {
  readonly #options: SenderOptions;
  readonly #mutex = new Mutex();
  #inFlight = 0;
  #nextNonce = 0;

  constructor(options: SenderOptions) {
    this.#options = options;
  }

  /** Throws coded faults (chain.reverted, chain.insufficient_gas, chain.timeout) and what the RPC throws. */
  async send(call: Call): Promise<Receipt> {
    const gasLimit = await this.#estimate(call);
    const signed = await this.#mutex.run(() => this.#handIn(call, gasLimit));
    try {
      return await this.#receipt(call, signed);
    } finally {
      this.#inFlight -= 1;
    }
  }

  #request(method: string, params: readonly unknown[]): Promise<unknown> {
    return this.#options.request(method, params, this.#options.signal);
  }

  async #estimate(call: Call): Promise<bigint> {
    try {
      const estimate = await this.#request('eth_estimateGas', [{ from: this.#options.address, ...call }]);
      return (quantity.parse(estimate) * GAS_MARGIN_PERCENT) / 100n;
    } catch (error) {
      // Without revert data the likeliest reason by far is an empty account; the balance tells, not the message.
      if (error instanceof RpcFault && error.data === undefined) await this.#requireGas(wei(1n));
      throw error;
    }
  }

  async #requireGas(neededWei: bigint): Promise<void> {
    const have = quantity.parse(await this.#request('eth_getBalance', [this.#options.address, 'latest']));
    if (have >= neededWei) return;
    fail('chain.insufficient_gas', 'The wallet has too few coins to pay for the transaction.', {
      remedy: `Send coins for gas to ${this.#options.address}.`,
      data: { haveWei: have.toString(), needWei: neededWei.toString() },
    });
  }

  async #fees(): Promise<{ readonly maxFeePerGas: bigint; readonly maxPriorityFeePerGas: bigint }> {
    const block = baseFeeSchema.parse(await this.#request('eth_getBlockByNumber', ['latest', false]));
    const tip = await this.#tip();
    // Twice the base fee lasts six full blocks of rises (12.5 % each).
    return { maxFeePerGas: (block.baseFeePerGas ?? 0n) * 2n + tip, maxPriorityFeePerGas: tip };
  }

  async #tip(): Promise<bigint> {
    try {
      return quantity.parse(await this.#request('eth_maxPriorityFeePerGas', []));
    } catch (error) {
      if (error instanceof RpcFault) return DEFAULT_TIP_WEI;
      throw error;
    }
  }

  /** Signs with the next nonce and broadcasts. On return the transaction counts as in flight. */
  async #handIn(call: Call, gasLimit: bigint): Promise<HandedIn> {
    const fees = await this.#fees();
    await this.#requireGas(gasLimit * fees.maxFeePerGas);
    for (let attempt = 1; ; attempt += 1) {
      const onChain = smallQuantity.parse(
        await this.#request('eth_getTransactionCount', [this.#options.address, 'pending']),
      );
      // While ours are under way a server may lag behind us; with none under way only the chain knows.
      const nonce = this.#inFlight > 0 ? Math.max(onChain, this.#nextNonce) : onChain;
      const signed = this.#sign({ ...call, ...fees, gasLimit, nonce });
      const outcome = await this.#broadcast(signed, nonce, attempt < NONCE_ATTEMPTS);
      if (outcome !== 'nonce_taken') {
        this.#nextNonce = nonce + 1;
        this.#inFlight += 1;
        return { ...signed, heard: outcome === 'taken' };
      }
      this.#nextNonce = 0;
    }
  }

  #sign(
    fields: Call & { gasLimit: bigint; nonce: number; maxFeePerGas: bigint; maxPriorityFeePerGas: bigint },
  ): Signed {
    const { chainId, privateKey, secp256k1 } = this.#options;
    const transaction = Transaction.from({ type: 2, chainId, value: 0, ...fields });
    const { signature, recovery } = secp256k1.sign(Buffer.from(transaction.unsignedHash.slice(2), 'hex'), privateKey);
    const hex = Buffer.from(signature).toString('hex');
    transaction.signature = Signature.from({
      r: `0x${hex.slice(0, 64)}`,
      s: `0x${hex.slice(64)}`,
      v: recovery === 0 ? 27 : 28,
    });
    return { raw: transaction.serialized as Hex, hash: transaction.hash as Hex };
  }

  /** A server that has it already is as good as one that takes it. */
  async #broadcast(signed: Signed, nonce: number, mayRetry: boolean): Promise<'taken' | 'silence' | 'nonce_taken'> {
    try {
      await this.#request('eth_sendRawTransaction', [signed.raw]);
      return 'taken';
    } catch (error) {
      if (error instanceof RpcUnreachable) return 'silence';
      if (!(error instanceof RpcFault)) throw error;
      if ((await this.#request('eth_getTransactionByHash', [signed.hash])) !== null) return 'taken';
      const used = await this.#request('eth_getTransactionCount', [this.#options.address, 'pending']);
      if (mayRetry && smallQuantity.parse(used) !== nonce) return 'nonce_taken';
      throw error;
    }
  }

  async #receipt(call: Call, signed: HandedIn): Promise<Receipt> {
    const { signal } = this.#options;
    const deadline = Date.now() + (this.#options.receiptTimeoutMs ?? RECEIPT_TIMEOUT_MS);
    let heardAt = Date.now();
    let sentAt = signed.heard ? Date.now() : 0;
    for (let pollMs = FIRST_POLL_MS; ; pollMs = Math.min(pollMs * 1.5, SLOWEST_POLL_MS)) {
      try {
        const receipt = receiptSchema.parse(await this.#request('eth_getTransactionReceipt', [signed.hash]));
        heardAt = Date.now();
        if (receipt) return await this.#succeeded(call, receipt);
        if (heardAt - sentAt > REBROADCAST_MS) {
          sentAt = heardAt;
          await this.#request('eth_sendRawTransaction', [signed.raw]).catch(ignoreFault);
        }
      } catch (error) {
        const silent = Date.now() - heardAt > (this.#options.silenceMs ?? SILENCE_MS);
        if (!(error instanceof RpcUnreachable) || silent) throw error;
      }
      if (Date.now() > deadline) {
        fail('chain.timeout', 'The transaction was sent, but the chain has not confirmed it in time.', {
          remedy: 'It may still go through. Hearth looks again before it repeats it.',
          data: { transactionHash: signed.hash },
        });
      }
      await delay(pollMs, undefined, { signal });
    }
  }

  async #succeeded(call: Call, receipt: NonNullable<z.infer<typeof receiptSchema>>): Promise<Receipt> {
    if (receipt.status === 1n) return receipt;
    // Mined but reverted: the same call on the state of now most often says why.
    const reason = await this.#request('eth_call', [{ from: this.#options.address, ...call }, 'latest']).then(
      () => undefined,
      (error: unknown) => toChainError(error),
    );
    return fail('chain.reverted', reason?.message ?? 'The transaction was mined, but the contract refused it.', {
      data: { ...reason?.data, transactionHash: receipt.transactionHash },
    });
  }
}

function ignoreFault(error: unknown): void {
  if (!(error instanceof RpcFault)) throw error;
}
