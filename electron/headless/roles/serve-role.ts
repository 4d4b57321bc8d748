import type { AppError } from '#shared/errors.ts';
import type { Result } from '#shared/result.ts';
import { toRoleSchema, type FromRole } from './messages.ts';

export interface RunningRole {
  /** Told to the supervisor once the role can be used. */
  readonly ready: unknown;
  ask?(what: string, about: unknown): Promise<unknown>;
  stop(): Promise<void>;
}

export type EventSink = (event: { readonly type: string }) => void;

/** Starts a role from its configuration; an error is a sentence for the user, not a crash. */
export type StartRole = (config: unknown, emit: EventSink) => Promise<Result<RunningRole, AppError>>;

/**
 * The child's end of a role process: starts on `start`, answers questions, and ends on `stop`. When the supervisor
 * dies the channel closes, and the role stops as cleanly as if it had been asked to: nothing is left running.
 */
export function serveRole(start: StartRole): void {
  const tell = (message: FromRole): void => {
    if (process.connected) process.send?.(message, () => {});
  };
  let running: RunningRole | undefined;
  let starting: Promise<void> = Promise.resolve();
  let stopping: Promise<void> | undefined;

  const begin = async (config: unknown): Promise<void> => {
    const started = await start(config, (event) => tell({ kind: 'event', event: { ...event } }));
    if (started.ok) {
      running = started.value;
      tell({ kind: 'ready', data: running.ready });
    } else {
      tell({ kind: 'failed', error: started.error });
      stop(3);
    }
  };
  const answer = async (id: number, what: string, about: unknown): Promise<void> => {
    await starting;
    tell({ kind: 'done', id, data: await running?.ask?.(what, about) });
  };
  const stop = (code: number): void => {
    stopping ??= starting
      .then(() => running?.stop())
      .then(
        () => process.exit(code),
        (error: unknown) => fail(error),
      );
  };
  const fail = (error: unknown): void => {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exit(1);
  };

  process.on('message', (raw) => {
    const parsed = toRoleSchema.safeParse(raw);
    if (!parsed.success) return;
    const message = parsed.data;
    if (message.kind === 'start') starting = begin(message.config);
    else if (message.kind === 'ask') answer(message.id, message.what, message.with).catch(fail);
    else stop(0);
    starting.catch(fail);
  });
  process.on('disconnect', () => stop(0));
  process.on('SIGTERM', () => stop(0));
  process.on('SIGINT', () => stop(0));
}
