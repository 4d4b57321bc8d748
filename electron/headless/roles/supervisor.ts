import { RoleProcess } from './role-process.ts';
import type { RoleEvent, RoleFailure } from './messages.ts';

/** What happens to the processes themselves, told to whoever watches. */
export type ProcessEvent =
  | {
      readonly type: 'process.started';
      readonly role: string;
      readonly pid: number | undefined;
      readonly restarts: number;
    }
  | {
      readonly type: 'process.exited';
      readonly role: string;
      readonly code: number | null;
      readonly signal: string | null;
      readonly lastWords: string;
    }
  | { readonly type: 'process.failed'; readonly role: string; readonly error: RoleFailure };

export interface SupervisedRole {
  readonly name: string;
  readonly entry: string;
  readonly args: readonly string[];
  /** Asked anew for each start: an address may have changed since the last one. */
  readonly config: () => unknown;
  readonly environment?: Readonly<Record<string, string>>;
}

export interface SupervisorOptions {
  readonly onEvent: (role: string, event: RoleEvent) => void;
  readonly onProcess: (event: ProcessEvent) => void;
  readonly backOffMs?: (restarts: number) => number;
}

interface Slot {
  readonly role: SupervisedRole;
  process: RoleProcess | undefined;
  restarts: number;
  timer: NodeJS.Timeout | undefined;
  stopping: boolean;
}

const STABLE_MS = 60_000;

/** Keeps a set of role processes alive: one that dies is started again, later each time it dies soon. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #slots = new Map<string, Slot>();

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  /** Resolves with the role's ready data; its first failure to start is the error. */
  start(
    role: SupervisedRole,
  ): Promise<{ readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly error: RoleFailure }> {
    const slot: Slot = { role, process: undefined, restarts: 0, timer: undefined, stopping: false };
    this.#slots.set(role.name, slot);
    return new Promise((resolve) => {
      this.#launch(slot, {
        ready: (value) => resolve({ ok: true, value }),
        failed: (error) => resolve({ ok: false, error }),
      });
    });
  }

  get(name: string): RoleProcess | undefined {
    return this.#slots.get(name)?.process;
  }

  async stop(name: string, graceMs: number): Promise<void> {
    const slot = this.#slots.get(name);
    if (slot === undefined) return;
    slot.stopping = true;
    clearTimeout(slot.timer);
    this.#slots.delete(name);
    await slot.process?.stop(graceMs);
  }

  #launch(slot: Slot, first?: { ready(value: unknown): void; failed(error: RoleFailure): void }): void {
    const { role } = slot;
    const startedAt = Date.now();
    let failure: RoleFailure | undefined;
    slot.process = new RoleProcess({
      name: role.name,
      entry: role.entry,
      args: role.args,
      config: role.config(),
      ...(role.environment === undefined ? {} : { environment: role.environment }),
      onEvent: (event) => this.#options.onEvent(role.name, event),
      onReady: (data) => first?.ready(data),
      onFailed: (error) => {
        failure = error;
        this.#options.onProcess({ type: 'process.failed', role: role.name, error });
      },
      onExit: (exit) => {
        slot.process = undefined;
        this.#options.onProcess({ type: 'process.exited', role: role.name, ...exit });
        first?.failed(
          failure ?? {
            code: 'process.died',
            message:
              `The ${role.name} process ended by itself (${exit.signal ?? `code ${exit.code}`}). ${exit.lastWords}`.trim(),
          },
        );
        // A role that said why it cannot run would say it again.
        if (slot.stopping || failure !== undefined) return;
        slot.restarts = Date.now() - startedAt > STABLE_MS ? 1 : slot.restarts + 1;
        const wait = (this.#options.backOffMs ?? defaultBackOff)(slot.restarts);
        slot.timer = setTimeout(() => this.#launch(slot), wait);
      },
    });
    this.#options.onProcess({
      type: 'process.started',
      role: role.name,
      pid: slot.process.pid,
      restarts: slot.restarts,
    });
  }
}

function defaultBackOff(restarts: number): number {
  return Math.min(30_000, 250 * 2 ** (restarts - 1));
}
