import { rm } from 'node:fs/promises';
import path from 'node:path';
import { appError, type AppError } from '#shared/errors.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import { err, ok, type Result } from '#shared/result.ts';
import type { Address, Hex, Wei } from '#shared/units.ts';
import { deployContracts, type Deployment } from '../deploy.ts';
import { RpcFault, type RpcRequest } from '../rpc/rpc.ts';
import { PracticeEngine, ReplayMismatch } from './engine.ts';
import { createEvm, type Genesis } from './evm.ts';
import { Faucet } from './faucet.ts';
import { serveJsonRpc, type JsonRpcServer } from './http.ts';
import { Journal, JOURNAL_FILE } from './journal.ts';
import { practiceKeys, type PracticeKeys } from './keys.ts';

export type PracticeError = AppError<'practice.in_use' | 'practice.port_in_use' | 'practice.damaged'>;

/** Not the number of any public chain: a practice transaction must be worth nothing elsewhere. */
const PRACTICE_CHAIN_ID = 4_860_771;
const PRACTICE_HARDFORK = 'Prague';
const COIN = 10n ** 18n;

export interface PracticeOptions {
  /** Holds journal and keys; made when absent. */
  readonly directory: string;
  /** TCP port on 127.0.0.1; 0 or absent lets the system choose. */
  readonly port?: number;
  /** For a new chain only; an existing one keeps its own. */
  readonly chainId?: number;
  readonly nowSeconds?: () => number;
}

/** A whole EVM chain in this process with Hearth's contracts on it, reachable over loopback, kept on disk. */
export interface PracticeChain extends Deployment {
  readonly url: string;
  readonly chainId: number;
  /** In-process JSON-RPC, without the limits of the HTTP side. */
  readonly request: RpcRequest;
  /** Replayed blocks and how long that took. `long`: time to say that `resetPracticeChain` makes starts quick again. */
  readonly journal: { readonly entries: number; readonly replayMs: number; readonly long: boolean };
  tip(): { readonly number: number; readonly hash: Hex; readonly timestamp: number };
  /** Sends coins for gas and pay tokens; resolves when mined. Either may be 0. */
  faucet(address: Address, gasWei: Wei, tokenWei: Wei): Promise<void>;
  /** Puts the chain's clock ahead, for notices and timeouts in tests and demonstrations. */
  advanceTime(seconds: number): Promise<void>;
  stop(): Promise<void>;
}

/** Starts (or continues) the practice chain of a directory. Its blocks come only with transactions. */
export async function startPracticeChain(options: PracticeOptions): Promise<Result<PracticeChain, PracticeError>> {
  const nowSeconds = options.nowSeconds ?? (() => Math.floor(Date.now() / 1000));
  let journal: Journal;
  try {
    journal = new Journal(options.directory);
  } catch (error) {
    return err(journalError(error, options.directory));
  }
  let server: JsonRpcServer | undefined;
  try {
    const keys = practiceKeys(options.directory);
    const genesis = journal.genesis(freshGenesis(keys, options.chainId ?? PRACTICE_CHAIN_ID, nowSeconds()));
    if (!genesis.balances.some((balance) => balance.address === keys.faucet.address)) {
      throw new ReplayMismatch('the keys are not those of this journal');
    }
    const started = performance.now();
    const engine = await PracticeEngine.start(await createEvm(genesis), journal, nowSeconds);
    const replayMs = performance.now() - started;
    const deployment = await deployContracts({
      request: engine.request,
      chainId: genesis.chainId,
      deployerKey: keys.deployer.privateKey,
      treasury: keys.faucet.address,
      tokenSupplyWei: 1_000_000_000n * COIN,
    });
    const faucet = new Faucet(engine.request, genesis.chainId, keys.faucet, deployment.contracts.token);
    const request: RpcRequest = (method, params, signal) =>
      method === 'hearth_faucet' ? faucet.answer(params) : engine.request(method, params, signal);
    const listening = await serveJsonRpc(request, options.port ?? 0);
    server = listening;
    const { length } = journal;
    return ok({
      ...deployment,
      url: `http://127.0.0.1:${listening.port}`,
      chainId: genesis.chainId,
      request,
      journal: { entries: length, replayMs, long: length > LIMITS.chain.practiceLongJournal },
      tip: () => engine.tip,
      faucet: (address, gasWei, tokenWei) => faucet.give(address, gasWei, tokenWei),
      advanceTime: (seconds) => engine.advanceTime(seconds),
      stop: async () => {
        await listening.close();
        await engine.idle();
        journal.close();
      },
    });
  } catch (error) {
    await server?.close();
    journal.close();
    return err(startError(error, options));
  }
}

/** Forgets a practice chain: the next start makes a new one with new keys. `practice.in_use` while one runs. */
export async function resetPracticeChain(directory: string): Promise<Result<void, PracticeError>> {
  try {
    new Journal(directory).close();
  } catch (error) {
    const known = journalError(error, directory);
    if (known.code === 'practice.in_use') return err(known);
  }
  // The database last: without it the rest means nothing, with it a half-done reset is seen at the next start.
  for (const file of ['keys.json', `${JOURNAL_FILE}-wal`, `${JOURNAL_FILE}-shm`, JOURNAL_FILE]) {
    await rm(path.join(directory, file), { force: true });
  }
  return ok();
}

function freshGenesis(keys: PracticeKeys, chainId: number, time: number): Genesis {
  return {
    chainId,
    hardfork: PRACTICE_HARDFORK,
    time,
    balances: [
      { address: keys.deployer.address, wei: 100n * COIN },
      { address: keys.faucet.address, wei: 1_000_000_000n * COIN },
    ],
  };
}

// sqlite.org/rescode.html
const SQLITE_BUSY = 5;
const SQLITE_CORRUPT = 11;
const SQLITE_NOTADB = 26;

function sqliteCode(error: unknown): number | undefined {
  return error instanceof Error && 'errcode' in error && typeof error.errcode === 'number'
    ? error.errcode & 0xff
    : undefined;
}

/** Throws what is no expected outcome. */
function journalError(error: unknown, directory: string): PracticeError {
  const code = sqliteCode(error);
  if (code === SQLITE_BUSY) {
    return appError('practice.in_use', 'Another practice network is running from the same folder.', {
      remedy: 'Stop it first, or use another folder.',
      data: { directory },
    });
  }
  if (code === SQLITE_CORRUPT || code === SQLITE_NOTADB) return damaged(directory);
  throw error;
}

function startError(error: unknown, options: PracticeOptions): PracticeError {
  if (
    error instanceof ReplayMismatch ||
    error instanceof RpcFault ||
    error instanceof SyntaxError ||
    isZodError(error)
  ) {
    return damaged(options.directory);
  }
  if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') {
    return appError('practice.port_in_use', `Another program on this machine uses port ${options.port ?? 0}.`, {
      remedy: 'Stop it, or choose another port.',
      data: { port: options.port ?? 0 },
    });
  }
  return journalError(error, options.directory);
}

function isZodError(error: unknown): boolean {
  return error instanceof Error && error.name === 'ZodError';
}

function damaged(directory: string): PracticeError {
  return appError('practice.damaged', 'The practice chain on disk is damaged or was written by another version.', {
    remedy: 'Reset the practice network. Only play money is lost.',
    data: { directory },
  });
}
