import { createHash } from 'node:crypto';
import { platform, tmpdir } from 'node:os';
import path from 'node:path';

/** sockaddr_un holds 108 bytes on Linux and 104 on macOS, its closing zero included. */
const MAX_SOCKET_PATH_BYTES = 103;

/**
 * Where the agent of this data directory listens for `hearth status` and the like: a socket in the directory itself,
 * which only its owner may enter; a named pipe on Windows.
 */
export function controlAddress(dataDirectory: string): string {
  const digest = createHash('sha256').update(path.resolve(dataDirectory)).digest('hex').slice(0, 24);
  if (platform() === 'win32') return `\\\\.\\pipe\\hearth-${digest}`;
  const inside = path.join(dataDirectory, 'agent.sock');
  if (Buffer.byteLength(inside) <= MAX_SOCKET_PATH_BYTES) return inside;
  return path.join(process.env['XDG_RUNTIME_DIR'] ?? tmpdir(), `hearth-${digest}.sock`);
}
