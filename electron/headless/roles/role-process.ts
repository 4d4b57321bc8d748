import { fork, type ChildProcess } from 'node:child_process';
import { fromRoleSchema, type RoleEvent, type RoleFailure, type ToRole } from './messages.ts';

export interface RoleProcessOptions {
  readonly name: string;
  /** Program and arguments that make a process of this role. */
  readonly entry: string;
  readonly args: readonly string[];
  readonly config: unknown;
  readonly environment?: Readonly<Record<string, string>>;
  readonly onEvent: (event: RoleEvent) => void;
  readonly onReady: (data: unknown) => void;
  readonly onFailed: (failure: RoleFailure) => void;
  readonly onExit: (exit: {
    readonly code: number | null;
    readonly signal: string | null;
    readonly lastWords: string;
  }) => void;
}

const KEPT_WORDS = 4096;

/** One child process of one role: started, spoken to, stopped. Restarting is the supervisor's business. */
export class RoleProcess {
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  readonly #pending = new Map<number, (data: unknown) => void>();
  #lastWords = '';
  #nextId = 1;

  constructor(options: RoleProcessOptions) {
    this.#child = fork(options.entry, [...options.args], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      serialization: 'json',
      env: { ...process.env, ...options.environment },
      // Ctrl-C goes to the supervisor alone, which stops its children in order.
      detached: process.platform !== 'win32',
    });
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      this.#lastWords = (this.#lastWords + chunk.toString()).slice(-KEPT_WORDS);
    });
    this.#child.on('message', (raw) => this.#heard(raw, options));
    this.#exited = new Promise((resolve) => {
      this.#child.once('error', () => resolve());
      this.#child.once('exit', (code, signal) => {
        for (const answer of this.#pending.values()) answer(undefined);
        this.#pending.clear();
        resolve();
        options.onExit({ code, signal, lastWords: this.#lastWords.trim() });
      });
    });
    this.#send({ kind: 'start', config: options.config });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** The role's answer, or undefined when it ended or took longer than `timeoutMs`. */
  ask(what: string, about: unknown, timeoutMs: number): Promise<unknown> {
    const id = this.#nextId;
    this.#nextId += 1;
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        resolve(undefined);
      }, timeoutMs);
      this.#pending.set(id, (data) => {
        clearTimeout(timer);
        resolve(data);
      });
      if (!this.#send({ kind: 'ask', id, what, with: about })) this.#pending.get(id)?.(undefined);
    });
  }

  /** Asks politely, then insists. Resolves when the process is gone. */
  async stop(graceMs: number): Promise<void> {
    this.#send({ kind: 'stop' });
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), graceMs);
    await this.#exited;
    clearTimeout(timer);
  }

  #send(message: ToRole): boolean {
    if (!this.#child.connected) return false;
    // The callback form reports a channel that closed meanwhile here rather than as an uncaught error.
    return this.#child.send(message, () => {}) || this.#child.connected;
  }

  #heard(raw: unknown, options: RoleProcessOptions): void {
    const parsed = fromRoleSchema.safeParse(raw);
    if (!parsed.success) return;
    const message = parsed.data;
    switch (message.kind) {
      case 'ready':
        options.onReady(message.data);
        break;
      case 'event':
        options.onEvent(message.event);
        break;
      case 'failed':
        options.onFailed(message.error);
        break;
      case 'done':
        this.#pending.get(message.id)?.(message.data);
        this.#pending.delete(message.id);
        break;
    }
  }
}
