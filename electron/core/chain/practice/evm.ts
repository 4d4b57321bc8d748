import {
  ContractDecoder,
  EdrContext,
  type Provider,
  MineOrdering,
  L1_CHAIN_TYPE,
  l1GenesisState,
  l1HardforkFromString,
  l1ProviderFactory,
} from '@nomicfoundation/edr';
import type { Address } from '#shared/units.ts';
import { revertData, RpcFault, type RpcRequest } from '../rpc/rpc.ts';

/** Everything the hash of the genesis block depends on. Kept in the journal: a replay must start from the same. */
export interface Genesis {
  readonly chainId: number;
  readonly hardfork: string;
  /** Unix seconds. */
  readonly time: number;
  readonly balances: readonly { readonly address: Address; readonly wei: bigint }[];
}

const BLOCK_GAS_LIMIT = 60_000_000n;
const COINBASE = Buffer.from('00000000000000000000000000000000000000c0', 'hex');

// EDR allows one context in a process.
let sharedContext: Promise<EdrContext> | undefined;

async function createContext(): Promise<EdrContext> {
  const context = new EdrContext();
  await context.registerProviderFactory(L1_CHAIN_TYPE, l1ProviderFactory());
  return context;
}

/** An Ethereum VM with a chain of its own in this process. Mines one block per transaction; forgets all when it ends. */
export async function createEvm(genesis: Genesis): Promise<RpcRequest> {
  sharedContext ??= createContext();
  const context = await sharedContext;
  const provider = await context.createProvider(
    L1_CHAIN_TYPE,
    {
      allowBlocksWithSameTimestamp: true,
      allowUnlimitedContractSize: false,
      bailOnCallFailure: true,
      // A transaction that reverts is mined and answers with its hash, as on a real chain.
      bailOnTransactionFailure: false,
      chainId: BigInt(genesis.chainId),
      networkId: BigInt(genesis.chainId),
      coinbase: COINBASE,
      defaultTransactionGasLimit: 16_000_000n,
      genesisState: [
        ...l1GenesisState(l1HardforkFromString(genesis.hardfork)),
        ...genesis.balances.map((account) => ({
          address: Buffer.from(account.address.slice(2), 'hex'),
          balance: account.wei,
          storage: [],
        })),
      ],
      hardfork: genesis.hardfork,
      initialBaseFeePerGas: 1_000_000_000n,
      minGasPrice: 0n,
      mining: { autoMine: true, blockGasLimit: BLOCK_GAS_LIMIT, memPool: { order: MineOrdering.Fifo } },
      network: { genesisBlockGasLimit: BLOCK_GAS_LIMIT, genesisBlockTime: BigInt(genesis.time) },
      observability: {},
      ownedAccounts: [],
      precompileOverrides: [],
    },
    { enable: false, decodeConsoleLogInputsCallback: () => [], printLineCallback: () => undefined },
    { subscriptionCallback: () => undefined },
    new ContractDecoder(),
  );
  return (method, params) => request(provider, method, params);
}

interface Answer {
  readonly result?: unknown;
  readonly error?: { readonly code: number; readonly message: string; readonly data?: unknown };
}

async function request(provider: Provider, method: string, params: readonly unknown[]): Promise<unknown> {
  const response = await provider.handleRequest(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }));
  // EDR answers large results as an object, others as text.
  const data: unknown = response.data;
  const answer = (typeof data === 'string' ? JSON.parse(data) : data) as Answer;
  if (answer.error) throw new RpcFault(answer.error.code, answer.error.message, revertData(answer.error.data));
  return answer.result;
}
