import type { NetworkFile } from '#shared/model/network-file.ts';
import { sameAddress, wei, type Address } from '#shared/units.ts';
import { channelsContract, reputationContract, tokenContract } from './abi.ts';
import { createChannels } from './channels.ts';
import { attempt, fail } from './errors.ts';
import { createIdentities } from './identities.ts';
import { PermitSigner } from './permit.ts';
import type { Chain } from './port.ts';
import { ContractReader } from './reader.ts';
import { createReputation } from './reputation.ts';
import { HttpRpc } from './rpc/http-rpc.ts';
import { hexBytes, quantity, smallQuantity } from './rpc/quantity.ts';
import type { RpcRequest } from './rpc/rpc.ts';
import { TransactionSender } from './transactions.ts';
import { Eip712VoucherCodec } from './vouchers/codec.ts';
import { fastestSecp256k1, type Secp256k1 } from './vouchers/secp256k1.ts';

export interface ChainOptions {
  readonly networkFile: NetworkFile;
  /** The hot key: owns tokens and coins, opens channels, signs vouchers, is paid. See wallet/. */
  readonly wallet: { readonly address: Address; readonly privateKey: Uint8Array };
  /** For one answer of one server; default 15 s. */
  readonly rpcTimeoutMs?: number;
  /** For a transaction to be mined; default 2 minutes. */
  readonly receiptTimeoutMs?: number;
  /** How long the chain may be silent while a receipt is awaited; default 30 s. */
  readonly silenceMs?: number;
  /** Default: the fastest of this platform. */
  readonly secp256k1?: Secp256k1;
}

/** A Chain and what the indexer beside it needs. */
export interface EthersChain extends Chain {
  readonly request: RpcRequest;
}

/** The chain of a network file, for one account. Starts nothing in the background; connects with the first call. */
export async function createChain(options: ChainOptions): Promise<EthersChain> {
  const { wallet } = options;
  const { chainId, rpcUrls, contracts } = options.networkFile.chain;
  const secp256k1 = options.secp256k1 ?? (await fastestSecp256k1());
  const stopping = new AbortController();
  const rpc = new HttpRpc({
    urls: rpcUrls,
    chainId,
    ...(options.rpcTimeoutMs === undefined ? {} : { timeoutMs: options.rpcTimeoutMs }),
  });
  const request: RpcRequest = (method, params, signal) =>
    rpc.request(method, params, signal ? AbortSignal.any([signal, stopping.signal]) : stopping.signal);
  const reader = new ContractReader(request, stopping.signal);
  const account = { chainId, account: wallet.address, privateKey: wallet.privateKey, secp256k1 };
  const sender = new TransactionSender({
    ...account,
    request,
    address: wallet.address,
    signal: stopping.signal,
    ...(options.receiptTimeoutMs === undefined ? {} : { receiptTimeoutMs: options.receiptTimeoutMs }),
    ...(options.silenceMs === undefined ? {} : { silenceMs: options.silenceMs }),
  });
  const permits = new PermitSigner({ ...account, token: contracts.token, reader, request });
  return {
    address: wallet.address,
    request,
    vouchers: new Eip712VoucherCodec(chainId, contracts.channels, secp256k1),
    channels: createChannels({ ...account, ...contracts, reader, sender, permits }),
    identities: createIdentities({ ...account, identity: contracts.identity, request, reader, sender }),
    reputation: createReputation({ reputation: contracts.reputation, reader, sender }),
    balances: (of = wallet.address) =>
      attempt(async () => {
        const [gas, token] = await Promise.all([
          request('eth_getBalance', [of, 'latest']),
          reader.read(contracts.token, tokenContract, 'balanceOf', [of]),
        ]);
        return { gasWei: wei(quantity.parse(gas)), tokenWei: wei(token) };
      }),
    check: () => attempt(() => check(options.networkFile, request, reader)),
    stop: async () => {
      stopping.abort();
      await Promise.resolve();
    },
  };
}

/** HttpRpc has checked the chain id by the time anything is answered; this checks the contracts and how they are wired. */
async function check(network: NetworkFile, request: RpcRequest, reader: ContractReader) {
  const { contracts } = network.chain;
  const blockNumber = smallQuantity.parse(await request('eth_blockNumber', []));
  for (const [name, address] of Object.entries(contracts)) {
    if (hexBytes.parse(await request('eth_getCode', [address, 'latest'])) === '0x') wrongContract(name);
  }
  const paidIn = await reader.read(contracts.channels, channelsContract, 'token', []);
  if (!sameAddress(paidIn, contracts.token)) wrongContract('token');
  const identity = await reader.read(contracts.reputation, reputationContract, 'getIdentityRegistry', []);
  if (!sameAddress(identity, contracts.identity)) wrongContract('identity');
  return { blockNumber };
}

function wrongContract(name: string): never {
  return fail('chain.wrong_chain', `The network file’s ${name} contract is not on this chain, or not the one in use.`, {
    remedy: 'Check the network file, or ask whoever gave it to you for a new one.',
    data: { contract: name },
  });
}
