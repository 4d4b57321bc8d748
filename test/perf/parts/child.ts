import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';

/** A process of a benchmark: answers each request it is sent with one message, in order. */
export class Child {
  readonly #process: ChildProcess;
  readonly #waiting: ((message: unknown) => void)[] = [];
  readonly #said: unknown[] = [];
  #ended = false;

  /** `file` beside this one; its configuration is its one argument. */
  constructor(file: string, config: unknown) {
    this.#process = fork(path.join(import.meta.dirname, file), [JSON.stringify(config)], {
      serialization: 'advanced',
      env: { ...process.env, ORT_DISABLE_TELEMETRY: '1' },
    });
    this.#process.on('message', (message) => {
      const next = this.#waiting.shift();
      if (next === undefined) this.#said.push(message);
      else next(message);
    });
    this.#process.once('exit', () => {
      this.#ended = true;
      for (const next of this.#waiting.splice(0)) next(undefined);
    });
  }

  /** What it says of itself once it can be used, or its next answer. Throws when it ends instead. */
  async next<T>(): Promise<T> {
    const said = this.#said.shift();
    if (said !== undefined) return said as T;
    const message = this.#ended ? undefined : await new Promise<unknown>((resolve) => this.#waiting.push(resolve));
    if (message === undefined) throw new Error(`a process of the benchmark (${this.#process.spawnargs[1]}) has ended`);
    return message as T;
  }

  ask<T>(request: object): Promise<T> {
    this.#process.send(request);
    return this.next<T>();
  }

  /** The children end when the channel closes; one that does not is ended. */
  async end(): Promise<void> {
    if (this.#ended) return;
    const exited = once(this.#process, 'exit');
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), 15_000);
    this.#process.disconnect();
    await exited;
    clearTimeout(timer);
  }
}

/** The child's end: says it is ready, answers one request at a time, and stops when the parent is gone. */
export function answerParent(
  ready: object,
  answer: (request: never) => Promise<object>,
  stop: () => Promise<void> = async () => {},
): void {
  process.on('message', (request) => {
    answer(request as never).then(
      (reply) => process.send?.(reply),
      (fault: unknown) => fail(fault),
    );
  });
  process.on('disconnect', () => {
    stop().then(() => process.exit(0), fail);
  });
  process.send?.(ready);
}

function fail(fault: unknown): void {
  process.stderr.write(`${fault instanceof Error ? (fault.stack ?? fault.message) : String(fault)}\n`);
  process.exit(1);
}

/** As JSON says it: whoever reads it names its type. */
export function config(): unknown {
  return JSON.parse(process.argv[2] ?? '');
}

export function valueOf<T>(
  result:
    | { readonly ok: true; readonly value: T }
    | { readonly ok: false; readonly error: { readonly code: string; readonly message: string } },
): T {
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.message}`);
  return result.value;
}
