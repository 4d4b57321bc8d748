import { Transaction, Wallet } from 'ethers';
import { z } from 'zod';
import { wei, type Address, type Hex, type Wei } from '#shared/units.ts';
import { tokenContract } from '../abi.ts';
import { Mutex } from '../mutex.ts';
import { addressText, hash32, hexBytes, quantity, smallQuantity } from '../rpc/quantity.ts';
import { RpcFault, type RpcRequest } from '../rpc/rpc.ts';
import type { PracticeAccount } from './keys.ts';

const COIN = 10n ** 18n;
/** What a call from outside brings an account up to, when it has less than half of it. */
const DRIP = { gasWei: wei(1n * COIN), tokenWei: wei(1_000n * COIN) };
const GAS = { transfer: 21_000n, tokenTransfer: 150_000n };
const INVALID_PARAMS = -32602;

const receiptSchema = z.object({ status: quantity });

/** Gives away the practice chain's coins and tokens. */
export class Faucet {
  readonly #request: RpcRequest;
  readonly #chainId: number;
  readonly #wallet: Wallet;
  readonly #token: Address;
  readonly #mutex = new Mutex();

  constructor(request: RpcRequest, chainId: number, account: PracticeAccount, token: Address) {
    this.#request = request;
    this.#chainId = chainId;
    this.#wallet = new Wallet(account.privateKey);
    this.#token = token;
  }

  /** Resolves when both transfers are mined; an amount of 0 is not sent. */
  give(to: Address, gasWei: Wei, tokenWei: Wei): Promise<void> {
    return this.#mutex.run(async () => {
      if (gasWei > 0n) await this.#send({ to, value: gasWei, gasLimit: GAS.transfer });
      if (tokenWei > 0n) {
        const data = tokenContract.encode('transfer', [to, tokenWei]);
        await this.#send({ to: this.#token, data, gasLimit: GAS.tokenTransfer });
      }
    });
  }

  /** `hearth_faucet [address]` over JSON-RPC: play money for whoever asks, but no more than it needs. */
  async answer(params: readonly unknown[]): Promise<Record<'gasWei' | 'tokenWei', string>> {
    const address = addressText.safeParse(params[0]);
    if (!address.success) throw new RpcFault(INVALID_PARAMS, 'hearth_faucet takes one address');
    const gasWei = quantity.parse(await this.#request('eth_getBalance', [address.data, 'latest']));
    const call = { to: this.#token, data: tokenContract.encode('balanceOf', [address.data]) };
    const answer = hexBytes.parse(await this.#request('eth_call', [call, 'latest']));
    const given = {
      gasWei: missing(gasWei, DRIP.gasWei),
      tokenWei: missing(tokenContract.decode('balanceOf', answer), DRIP.tokenWei),
    };
    await this.give(address.data, given.gasWei, given.tokenWei);
    return { gasWei: given.gasWei.toString(), tokenWei: given.tokenWei.toString() };
  }

  async #send(transaction: { to: Address; value?: bigint; data?: Hex; gasLimit: bigint }): Promise<void> {
    const [nonce, gasPrice] = await Promise.all([
      this.#request('eth_getTransactionCount', [this.#wallet.address, 'latest']),
      this.#request('eth_gasPrice', []),
    ]);
    const signed = await this.#wallet.signTransaction(
      Transaction.from({
        type: 2,
        chainId: this.#chainId,
        nonce: smallQuantity.parse(nonce),
        maxFeePerGas: quantity.parse(gasPrice) * 2n,
        maxPriorityFeePerGas: 1n,
        ...transaction,
      }),
    );
    const hash = hash32.parse(await this.#request('eth_sendRawTransaction', [signed]));
    const receipt = receiptSchema.parse(await this.#request('eth_getTransactionReceipt', [hash]));
    if (receipt.status !== 1n) throw new Error('the faucet has run dry');
  }
}

function missing(have: bigint, want: Wei): Wei {
  return have * 2n >= want ? wei(0n) : wei(want - have);
}
