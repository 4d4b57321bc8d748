import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import writeFileAtomic from 'write-file-atomic';
import { z } from 'zod';
import type { Paths } from '#core/settings/paths.ts';
import type { AppError } from '#shared/errors.ts';
import { networkFileSchema, type NetworkFile } from '#shared/model/network-file.ts';
import type { Settings } from '#shared/model/settings.ts';
import { err, ok, type Result } from '#shared/result.ts';
import { programFile } from '../commands/parts/layout.ts';
import { lastPracticeNetworkFile, practiceFolder, practiceNetworkFile } from '../commands/parts/network-file.ts';
import { chainReadySchema } from '../roles/chain-ready.ts';
import type { RoleEvent } from '../roles/messages.ts';
import { Supervisor, type ProcessEvent, type SupervisedRole } from '../roles/supervisor.ts';

export interface PracticeOptions {
  readonly paths: Paths;
  readonly settings: Settings;
  readonly fresh: boolean;
  readonly onEvent: (role: string, event: RoleEvent) => void;
  readonly onProcess: (event: ProcessEvent) => void;
}

const relayReadySchema = z.object({ addresses: z.array(z.string()).min(1), stun: z.array(z.string()) });

const GRACE_MS = { contributor: 20_000, requester: 15_000, relay: 5_000, chain: 10_000 };

/** Chain, relay, and whoever works for whom on them: each its own process, kept alive until told to stop. */
export class PracticeNetwork {
  readonly networkFile: NetworkFile;
  /** The chain has grown long enough to make each start slow. */
  readonly long: boolean;
  readonly #options: PracticeOptions;
  readonly #supervisor: Supervisor;
  readonly #contributors: string[] = [];
  #hasRequester = false;

  private constructor(options: PracticeOptions, supervisor: Supervisor, networkFile: NetworkFile, long: boolean) {
    this.#options = options;
    this.#supervisor = supervisor;
    this.networkFile = networkFile;
    this.long = long;
  }

  /** Chain and relay are up and the network file is written when this resolves; on an error nothing is left running. */
  static async start(options: PracticeOptions): Promise<Result<PracticeNetwork, AppError>> {
    const supervisor = new Supervisor({ onEvent: options.onEvent, onProcess: options.onProcess });
    const folder = practiceFolder(options.paths);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    let chainPort = 0;
    let { fresh } = options;
    const chain = await supervisor.start(
      roleOf('chain', 'chain', () => ({ directory: path.join(folder, 'chain'), port: chainPort, fresh })),
    );
    if (!chain.ok) {
      await supervisor.stop('chain', GRACE_MS.chain);
      return err(toAppError(chain.error));
    }
    const { long, ...onChain } = chainReadySchema.parse(chain.value);
    // Whoever starts it again after a crash must find it where the network file says.
    chainPort = Number(new URL(onChain.rpcUrls[0] ?? '').port);
    fresh = false;

    const networkId = `practice-${onChain.contracts.token.slice(2, 10).toLowerCase()}`;
    let relayPort = 0;
    const relay = await supervisor.start(
      roleOf('relay', 'relay', () => ({
        directory: path.join(folder, 'relay'),
        logs: options.paths.logs,
        networkId,
        port: relayPort,
      })),
    );
    if (!relay.ok) {
      await supervisor.stop('relay', GRACE_MS.relay);
      await supervisor.stop('chain', GRACE_MS.chain);
      return err(toAppError(relay.error));
    }
    const { addresses, stun } = relayReadySchema.parse(relay.value);
    relayPort = Number(/\/tcp\/(\d+)\/p2p/.exec(addresses.find((address) => !address.includes('/ws')) ?? '')?.[1] ?? 0);
    const networkFile = networkFileSchema.parse({ version: 1, networkId, chain: onChain, bootstrap: addresses, stun });
    const text = `${JSON.stringify(networkFile, null, 2)}\n`;
    for (const file of [lastPracticeNetworkFile(options.paths), practiceNetworkFile(options.paths)]) {
      await writeFileAtomic(file, text, { mode: 0o600 });
    }
    return ok(new PracticeNetwork(options, supervisor, networkFile, long));
  }

  /** A whole agent with its own keys, ledger and purse. */
  async addContributor(name: string): Promise<Result<void, AppError>> {
    this.#contributors.push(name);
    const started = await this.#supervisor.start(
      roleOf(name, 'contributor', () => ({
        name,
        directory: this.#place(name),
        logs: this.#options.paths.logs,
        networkFile: this.networkFile,
        settings: this.#options.settings,
      })),
    );
    return started.ok ? ok() : err(toAppError(started.error));
  }

  /** Publishes the practice model and pays for its shards: `shards` of them, or until told to finish. */
  async addRequester(job: {
    readonly jobId: string;
    readonly shards: number | undefined;
  }): Promise<Result<void, AppError>> {
    this.#hasRequester = true;
    const started = await this.#supervisor.start(
      roleOf('requester', 'requester', () => ({
        directory: this.#place('requester'),
        logs: this.#options.paths.logs,
        networkFile: this.networkFile,
        ...job,
      })),
    );
    return started.ok ? ok() : err(toAppError(started.error));
  }

  /** The requester's account of the job once everything is paid; undefined when it did not answer in time. */
  async finish(timeoutMs: number): Promise<unknown> {
    return this.#supervisor.get('requester')?.ask('finish', null, timeoutMs);
  }

  /** Those who are owed first, those who owe next, what they settle on last. */
  async stop(): Promise<void> {
    await Promise.all(this.#contributors.map((name) => this.#supervisor.stop(name, GRACE_MS.contributor)));
    if (this.#hasRequester) await this.#supervisor.stop('requester', GRACE_MS.requester);
    await this.#supervisor.stop('relay', GRACE_MS.relay);
    await this.#supervisor.stop('chain', GRACE_MS.chain);
    await rm(practiceNetworkFile(this.#options.paths), { force: true });
  }

  /** Ledgers and keys belong to one chain; a fresh one has a new network id and so fresh folders. */
  #place(name: string): string {
    return path.join(practiceFolder(this.#options.paths), this.networkFile.networkId, name);
  }
}

function roleOf(name: string, role: string, config: () => unknown): SupervisedRole {
  return { name, entry: programFile(), args: ['role', role], config };
}

function toAppError(failure: {
  readonly code: string;
  readonly message: string;
  readonly remedy?: string | undefined;
}): AppError {
  const { code, message, remedy } = failure;
  return { code, message, ...(remedy === undefined ? {} : { remedy }) };
}
