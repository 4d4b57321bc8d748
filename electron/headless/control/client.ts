import { connect } from 'node:net';
import { appError, type AppError } from '#shared/errors.ts';
import { err, ok, type Result } from '#shared/result.ts';
import { controlAddress } from './address.ts';
import { linesOf } from './lines.ts';
import { responseSchema, type ControlCall } from './messages.ts';

export type AskError = AppError<'agent.not_running' | 'agent.no_answer'>;

/** Asks the agent that runs for this data directory. */
export function askAgent(
  dataDirectory: string,
  call: ControlCall,
  timeoutMs: number,
): Promise<Result<unknown, AskError>> {
  return new Promise((resolve) => {
    const socket = connect(controlAddress(dataDirectory));
    const finish = (result: Result<unknown, AskError>): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(result);
    };
    const silent = appError('agent.no_answer', 'The agent is running but does not answer.', {
      remedy: 'Wait a moment and try again; if it stays so, stop it and start it again.',
    });
    const timer = setTimeout(() => finish(err(silent)), timeoutMs);
    socket.once('connect', () => socket.write(`${JSON.stringify({ id: 1, call })}\n`));
    socket.once('error', () =>
      finish(err(appError('agent.not_running', 'Hearth is not running.', { remedy: 'Start it with: hearth start' }))),
    );
    socket.once('close', () => finish(err(silent)));
    linesOf(socket, (line) => {
      const parsed = responseSchema.safeParse(parseJson(line));
      finish(parsed.success ? ok(parsed.data.value) : err(silent));
    });
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
