import { z } from 'zod';
import type { Abi, ExtractAbiFunctionNames } from 'abitype';
import type { Address } from '#shared/units.ts';
import type { Answer, ContractAbi, Inputs } from './abi.ts';
import { hexBytes, smallQuantity } from './rpc/quantity.ts';
import type { RpcRequest } from './rpc/rpc.ts';

/** Reads contracts at the newest block, with types from their ABI. */
export class ContractReader {
  readonly #request: RpcRequest;
  readonly #signal: AbortSignal;

  constructor(request: RpcRequest, signal: AbortSignal) {
    this.#request = request;
    this.#signal = signal;
  }

  /** Throws what the RPC throws, and ethers' BAD_DATA where the address has no such function. */
  async read<const A extends Abi, Name extends ExtractAbiFunctionNames<A>>(
    at: Address,
    contract: ContractAbi<A>,
    name: Name,
    args: Inputs<A, Name>,
  ): Promise<Answer<A, Name>> {
    const call = { to: at, data: contract.encode(name, args) };
    return contract.decode(name, hexBytes.parse(await this.#request('eth_call', [call, 'latest'], this.#signal)));
  }
}

const blockSchema = z.object({ timestamp: smallQuantity });

/** Unix seconds for deadlines the chain will judge: its clock may be ahead of this machine's, and between blocks ours goes on. */
export async function chainTime(request: RpcRequest): Promise<number> {
  const latest = blockSchema.parse(await request('eth_getBlockByNumber', ['latest', false]));
  return Math.max(latest.timestamp, Math.floor(Date.now() / 1000));
}
