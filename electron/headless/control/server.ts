import { chmod, mkdir, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { platform } from 'node:os';
import path from 'node:path';
import { appError, type AppError } from '#shared/errors.ts';
import { err, ok, type Result } from '#shared/result.ts';
import { toJson } from '../terminal/output.ts';
import { controlAddress } from './address.ts';
import { askAgent } from './client.ts';
import { linesOf } from './lines.ts';
import { requestSchema, type ControlCall } from './messages.ts';

export type ControlError = AppError<'agent.already_running' | 'agent.socket_failed'>;
export type ControlHandlers = Readonly<Record<ControlCall, () => unknown>>;

const MAX_CLIENTS = 16;

/**
 * Listens for this machine's own commands. It is the single-instance lock as well: two agents on one wallet would race
 * for its nonces, so the second one is told where the first is.
 */
export async function serveControl(
  dataDirectory: string,
  handlers: ControlHandlers,
): Promise<Result<{ close(): Promise<void> }, ControlError>> {
  const address = controlAddress(dataDirectory);
  await mkdir(dataDirectory, { recursive: true, mode: 0o700 });
  if ((await askAgent(dataDirectory, 'status', 2_000)).ok) {
    return err(
      appError('agent.already_running', 'Hearth is already running for this user.', {
        remedy:
          'See it with: hearth status. To run a second one beside it, give it a place of its own: hearth start --home DIR',
        data: { address },
      }),
    );
  }
  // Nobody answers: what lies there is left over from a crash.
  if (platform() !== 'win32') await rm(address, { force: true });
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    linesOf(socket, (line) => {
      answer(socket, line, handlers).catch(() => socket.destroy());
    });
  });
  server.maxConnections = MAX_CLIENTS;
  try {
    await listen(server, address);
    if (platform() !== 'win32') await chmod(address, 0o600);
  } catch (error) {
    return err(
      appError(
        'agent.socket_failed',
        `The agent's control socket could not be made (${error instanceof Error ? error.message : 'unknown'}).`,
        {
          remedy: `Check the rights of ${path.dirname(address)}.`,
          data: { address },
        },
      ),
    );
  }
  return ok({
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  });
}

async function answer(socket: Socket, line: string, handlers: ControlHandlers): Promise<void> {
  const request = requestSchema.parse(JSON.parse(line));
  const value = await handlers[request.call]();
  socket.write(`${toJson({ id: request.id, value: value ?? null })}\n`);
}

function listen(server: Server, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(address, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
