import { setTimeout as delay } from 'node:timers/promises';
import type { DatabaseSync } from 'node:sqlite';
import type { NetworkFile } from '#shared/model/network-file.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import type { Result } from '#shared/result.ts';
import type { Address } from '#shared/units.ts';
import { attempt, fail } from '../errors.ts';
import { Mutex } from '../mutex.ts';
import type { ChainError } from '../port.ts';
import { RpcFault, type RpcRequest } from '../rpc/rpc.ts';
import { readEvents, readHeader, type Header, type LogSource } from './logs.ts';
import { IndexQueries } from './queries.ts';
import { IndexStore } from './store.ts';

export interface IndexerOptions {
  /** From createChain: checks chain id, fails over, ends when the chain is stopped. */
  readonly request: RpcRequest;
  readonly network: NetworkFile;
  readonly account: Address;
  /** Tables with the prefix chain_ are made in it; it stays the caller's to close. */
  readonly database: DatabaseSync;
  /** Between two looks at the chain; default 4 s. */
  readonly pollMs?: number;
  /** Blocks on top before one is read; default 0: what a reorganisation takes back is taken back here too. */
  readonly confirmations?: number;
}

export interface SyncOutcome {
  /** Newest block that is in the index. */
  readonly block: number;
  readonly events: number;
  /** Blocks that were taken back because the chain had dropped them. */
  readonly rolledBack: number;
}

/** Follows the chain into the database. */
export interface Indexer {
  readonly queries: IndexQueries;
  /** Reads up to the newest block. One at a time; safe to call beside `start`. */
  sync(): Promise<Result<SyncOutcome, ChainError>>;
  /** Syncs at once and then every `pollMs`, more slowly while the chain is away. Outcomes and faults go to `listener`. */
  start(listener: (outcome: Result<SyncOutcome, ChainError>) => void, onFault: (fault: unknown) => void): void;
  /** Ends the loop and waits for the sync under way. */
  stop(): Promise<void>;
}

const POLL_MS = 4_000;
const SLOWEST_POLL_MS = 60_000;
/** Reorganisations in the middle of a sync before it gives up until the next one. */
const ATTEMPTS = 5;

/** The chain moved while it was read: nothing was written, look again. */
class Moved extends Error {
  override readonly name = 'Moved';
}

export function createIndexer(options: IndexerOptions): Indexer {
  const account = options.account.toLowerCase() as Address;
  const { chainId, contracts, deployBlock } = options.network.chain;
  const store = new IndexStore(options.database, JSON.stringify([chainId, contracts, account]).toLowerCase());
  const stopping = new AbortController();
  const mutex = new Mutex();
  const request: RpcRequest = (method, params) => options.request(method, params, stopping.signal);
  const source: LogSource = { request, contracts, account };
  let loop: Promise<void> = Promise.resolve();

  const sync = () =>
    mutex.run(() =>
      attempt(() => syncToTip({ store, source, deployBlock, confirmations: options.confirmations ?? 0 })),
    );

  return {
    queries: new IndexQueries(options.database, account),
    sync,
    start: (listener, onFault) => {
      const pollMs = options.pollMs ?? POLL_MS;
      loop = follow(sync, listener, pollMs, stopping.signal).catch(onFault);
    },
    stop: async () => {
      stopping.abort();
      await loop;
      await mutex.run(() => Promise.resolve());
    },
  };
}

async function follow(
  sync: Indexer['sync'],
  listener: (outcome: Result<SyncOutcome, ChainError>) => void,
  pollMs: number,
  signal: AbortSignal,
): Promise<void> {
  let waitMs = pollMs;
  while (!signal.aborted) {
    const outcome = await sync();
    if (signal.aborted) return;
    listener(outcome);
    waitMs = outcome.ok ? pollMs : Math.min(waitMs * 2, SLOWEST_POLL_MS);
    // An aborted wait is how the loop ends.
    await delay(waitMs, undefined, { signal }).catch(() => undefined);
  }
}

interface SyncContext {
  readonly store: IndexStore;
  readonly source: LogSource;
  readonly deployBlock: number;
  readonly confirmations: number;
}

async function syncToTip(context: SyncContext): Promise<SyncOutcome> {
  let rolledBack = 0;
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    rolledBack += await rewind(context);
    try {
      return { ...(await readOn(context)), rolledBack };
    } catch (error) {
      if (!(error instanceof Moved)) throw error;
    }
  }
  return fail('chain.unreachable', 'The chain keeps changing while it is read.', {
    remedy: 'Hearth tries again by itself.',
  });
}

/** Walks back to the newest block that the chain still has, and drops what is above. Answers how many blocks that were. */
async function rewind({ store, source, deployBlock }: SyncContext): Promise<number> {
  const cursor = store.cursor();
  if (cursor === undefined) return 0;
  for (const checkpoint of store.checkpoints()) {
    const header = await readHeader(source.request, checkpoint.number);
    if (header?.hash !== checkpoint.hash) continue;
    if (checkpoint.number + 1 < cursor) store.rewindTo(checkpoint.number + 1);
    return cursor - checkpoint.number - 1;
  }
  store.rewindTo(deployBlock);
  return cursor - deployBlock;
}

async function readOn(context: SyncContext): Promise<Omit<SyncOutcome, 'rolledBack'>> {
  const { store, source, confirmations } = context;
  const tip = (await header(source, 'latest')).number - confirmations;
  let next = store.cursor() ?? context.deployBlock;
  let rangeBlocks: number = LIMITS.chain.indexRangeBlocks;
  let events = 0;
  while (next <= tip) {
    const to = Math.min(next + rangeBlocks - 1, tip);
    try {
      events += await readRange(context, next, to);
      next = to + 1;
    } catch (error) {
      // Public servers bound ranges and answers, each in its own words: ask for less.
      if (!(error instanceof RpcFault) || to === next) throw error;
      rangeBlocks = Math.max(1, Math.floor((to - next + 1) / 2));
    }
  }
  return { block: next - 1, events };
}

/** Reads one range and stores it, unless its last block changed meanwhile. */
async function readRange({ store, source }: SyncContext, from: number, to: number): Promise<number> {
  const before = await header(source, to);
  const known = { channels: store.liveChannels(), agents: store.agentsOf(source.account) };
  const events = await readEvents(source, { from, to }, known);
  const after = await header(source, to);
  if (after.hash !== before.hash) throw new Moved();
  store.append(events, { number: to, hash: after.hash });
  return events.length;
}

async function header(source: LogSource, number: number | 'latest'): Promise<Header> {
  const found = await readHeader(source.request, number);
  if (!found) throw new Moved();
  return found;
}
