import { createHash } from 'node:crypto';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import type { Compute, ModelInfo } from '#core/compute/port.ts';
import type { Content } from '#core/content/port.ts';
import { openLedger, type LedgerOptions } from '#core/ledger/open-ledger.ts';
import type { ProviderLedger } from '#core/ledger/provider-ledger.ts';
import type { RequesterLedger } from '#core/ledger/requester-ledger.ts';
import type { ProviderSettings } from '#core/market/context.ts';
import { systemClock } from '#core/market/clock.ts';
import { createProvider, type Provider } from '#core/market/provider.ts';
import { silentLogger } from '#core/obs/logger.ts';
import type { RequesterSettings } from '#core/requester/context.ts';
import type { Job } from '#core/requester/job.ts';
import { createRequester, type Requester } from '#core/requester/requester.ts';
import type { ProviderEvent, RequesterEvent } from '#shared/model/events.ts';
import type { NamedTensors } from '#shared/model/tensor.ts';
import { cidOfDigest } from '#shared/protocol/content/cid.ts';
import { appError } from '#shared/errors.ts';
import { err, ok, type Result } from '#shared/result.ts';
import { sha256Hex, wei, type Wei } from '#shared/units.ts';
import { FakeChain, type FakeAccount } from '../fake-chain.ts';
import { createFakeCompute } from '../fake-compute.ts';
import { tempDir } from '../temp-dir.ts';
import { f32, float32Values } from '../tensors.ts';
import { FakeNetwork, type FakePeer } from './fake-network.ts';

/** The model of these tests: one number in, its square plus one out. */
export const MODEL = new TextEncoder().encode('a model that squares and adds one');
const digest = sha256Hex(createHash('sha256').update(MODEL).digest('hex'));
const spec = (name: string) => ({ name, dtype: 'float32', dims: [1] });
const MODEL_INFO: ModelInfo = { digest, inputs: [spec('x')], outputs: [spec('y')], peakBytes: 8 };

export const inputOf = (index: number): NamedTensors => ({ x: f32([index]) });
export const rightAnswer = (index: number): number => Math.fround(index * index + 1);

export type Behaviour = (x: number, signal: AbortSignal) => number | Promise<number>;
export const honest: Behaviour = (x) => x * x + 1;
/** Lies on every n-th shard it computes. */
export function liar(every: number): Behaviour {
  let count = 0;
  return (x) => {
    count += 1;
    return x * x + 1 + (count % every === 0 ? 0.5 : 0);
  };
}

export function computeOf(behaviour: Behaviour): Compute {
  return createFakeCompute({
    models: [
      {
        info: MODEL_INFO,
        compute: async (inputs, signal) => ({
          y: f32([await behaviour(float32Values(inputs['x'])[0] ?? NaN, signal)]),
        }),
      },
    ],
  });
}

export function must<T>(value: Result<T, { readonly code: string; readonly message: string }>): T {
  if (!value.ok) throw new Error(`${value.error.code}: ${value.error.message}`);
  return value.value;
}

export interface ProviderNode {
  readonly name: string;
  readonly peer: FakePeer;
  readonly account: FakeAccount;
  readonly file: string;
  readonly events: ProviderEvent[];
  provider: Provider;
  ledger: ProviderLedger;
}

export interface RequesterNode {
  readonly peer: FakePeer;
  readonly account: FakeAccount;
  readonly file: string;
  readonly events: RequesterEvent[];
  requester: Requester;
  ledger: RequesterLedger;
}

/** A market in this process: real ledgers, real conversations in memory, a chain and computers that are not real. */
export class World {
  readonly network = new FakeNetwork();
  readonly chain: FakeChain;
  readonly folder = tempDir('hearth-market-');
  private readonly store = new Map<string, Uint8Array>();
  private accounts = 0;
  private readonly running = new Set<{ stop(): Promise<void> }>();

  private constructor(chain: FakeChain) {
    this.chain = chain;
    onTestFinished(async () => {
      for (const each of this.running) await each.stop();
    });
  }

  static async create(): Promise<World> {
    return new World(await FakeChain.create());
  }

  content(): Content {
    const { store } = this;
    return {
      add: async (bytes: Uint8Array) => {
        const cid = cidOfDigest(createHash('sha256').update(bytes).digest());
        store.set(cid, bytes);
        return ok(cid);
      },
      has: async (cid: string) => store.has(cid),
      read: async (cid: string) => {
        const bytes = store.get(cid);
        return bytes === undefined ? err(appError('content.not_found', 'not here')) : ok(bytes);
      },
      fetch: async (cid: string) => (store.has(cid) ? ok() : err(appError('content.no_provider', 'nobody has it'))),
    } as Partial<Content> as Content;
  }

  addProvider(
    name: string,
    options: {
      readonly behaviour?: Behaviour;
      readonly settings?: Partial<ProviderSettings>;
      readonly registered?: boolean;
      readonly ledger?: LedgerOptions;
    } = {},
  ): ProviderNode {
    const peer = this.network.peer(name);
    const account = this.chain.account((this.accounts += 1));
    if (options.registered !== false) this.chain.register(peer.peerId, account.address);
    const node = { name, peer, account, file: path.join(this.folder, `${name}.db`), events: [] as ProviderEvent[] };
    return Object.assign(node, this.startProvider(node, options));
  }

  /** Starts the agent of a node, again after `crash`. */
  startProvider(
    node: Pick<ProviderNode, 'peer' | 'account' | 'file' | 'events'>,
    options: {
      readonly behaviour?: Behaviour;
      readonly settings?: Partial<ProviderSettings>;
      readonly ledger?: LedgerOptions;
    } = {},
  ): Pick<ProviderNode, 'provider' | 'ledger'> {
    const ledger = must(openLedger(node.file, 'provider', options.ledger));
    const provider = createProvider({
      network: node.peer.network,
      content: this.content(),
      compute: computeOf(options.behaviour ?? honest),
      chain: node.account.chain,
      ledger,
      pay: this.chain.pay,
      placement: { backend: 'cpu', device: 0 },
      clock: systemClock,
      logger: silentLogger,
      settings: { creditWei: wei(10n ** 20n), stopPatienceMs: 1000, ...options.settings },
      onEvent: (event) => node.events.push(event),
    });
    this.running.add({ stop: () => provider.stop({ graceful: false }) });
    provider.start();
    return { provider, ledger };
  }

  async addRequester(
    options: {
      readonly settings?: Partial<RequesterSettings>;
      readonly random?: () => number;
      readonly ledger?: LedgerOptions;
    } = {},
  ): Promise<RequesterNode> {
    const peer = this.network.peer('requester');
    const account = this.chain.account((this.accounts += 1));
    const node = { peer, account, file: path.join(this.folder, 'requester.db'), events: [] as RequesterEvent[] };
    return Object.assign(node, await this.startRequester(node, options));
  }

  async startRequester(
    node: Pick<RequesterNode, 'peer' | 'account' | 'file' | 'events'>,
    options: {
      readonly settings?: Partial<RequesterSettings>;
      readonly random?: () => number;
      readonly ledger?: LedgerOptions;
    } = {},
  ): Promise<Pick<RequesterNode, 'requester' | 'ledger'>> {
    const ledger = must(openLedger(node.file, 'requester', options.ledger));
    const requester = createRequester({
      network: node.peer.network,
      content: this.content(),
      compute: computeOf(honest),
      chain: node.account.chain,
      ledger,
      pay: this.chain.pay,
      signer: node.account,
      clock: systemClock,
      logger: silentLogger,
      settings: {
        offerEveryMs: 50,
        patienceMs: 150,
        rejoinMs: 500,
        closePatienceMs: 3000,
        parkMs: 300,
        ...options.settings,
      },
      ...(options.random === undefined ? {} : { random: options.random }),
      onEvent: (event) => node.events.push(event),
    });
    this.running.add(requester);
    await requester.start();
    return { requester, ledger };
  }
}

export const PRICE = wei(1000n);

/** A job of so many shards; `outputs` gathers what is delivered. */
export function jobOf(
  count: number | undefined,
  changes: Partial<Job> = {},
): { readonly job: Job; readonly outputs: Map<number, number> } {
  const outputs = new Map<number, number>();
  const job: Job = {
    jobId: 'job',
    model: MODEL,
    source: { ...(count === undefined ? {} : { count }), inputs: inputOf },
    priceWei: PRICE,
    budgetWei: wei(PRICE * 10_000n),
    checks: 'full',
    tolerance: 1e-5,
    onOutput: (index, tensors) => {
      outputs.set(index, float32Values(tensors['y'])[0] ?? NaN);
    },
    ...changes,
  };
  return { job, outputs };
}

/** What was paid by vouchers and what the chain paid out must be the same everywhere. */
export function sums(
  world: World,
  requester: RequesterNode,
  jobId = 'job',
): { readonly promised: Wei; readonly onChain: Wei } {
  const channels = requester.ledger.channels.ofJob(jobId);
  const promised = channels.reduce((sum, { cumulativeWei }) => sum + cumulativeWei, 0n);
  const onChain = [...world.chain.channels.values()].reduce((sum, { settledWei }) => sum + settledWei, 0n);
  return { promised: wei(promised), onChain: wei(onChain) };
}
