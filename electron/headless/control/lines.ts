import type { Socket } from 'node:net';
import { MAX_LINE_BYTES } from './messages.ts';

/** Calls back for each complete line; a line that grows past the limit ends the connection. */
export function linesOf(socket: Socket, onLine: (line: string) => void): void {
  let buffered = '';
  socket.setEncoding('utf8');
  socket.on('data', (chunk: string) => {
    buffered += chunk;
    if (buffered.length > MAX_LINE_BYTES) {
      socket.destroy();
      return;
    }
    const lines = buffered.split('\n');
    buffered = lines.pop() ?? '';
    for (const line of lines) if (line !== '') onLine(line);
  });
}
