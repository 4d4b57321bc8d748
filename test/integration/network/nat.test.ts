import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { LIMITS } from '#shared/protocol/limits.ts';
import { buildNatLab, missingForNat, RELAY_HOST } from '#support/nat/lab.ts';
import type { NatLab } from '#support/nat/lab.ts';

const missing = missingForNat();
const ready = z.object({ ready: z.string() });
const outcome = z.object({
  via: z.string(),
  addresses: z.array(z.string()),
  openMs: z.number(),
  receivedBytes: z.number(),
  mbPerSecond: z.number(),
});

describe('two homes behind routers that drop what they did not ask for', () => {
  let lab: NatLab | undefined;
  const children: ChildProcessByStdio<Writable, Readable, null>[] = [];
  afterEach(async () => {
    await Promise.all(
      children.splice(0).map(async (child) => {
        const exited = once(child, 'exit');
        child.stdin.end();
        const late = setTimeout(() => child.kill('SIGKILL'), 5_000);
        await exited;
        clearTimeout(late);
      }),
    );
    await lab?.remove();
  });

  function start(place: 'relay' | 'left' | 'right', ...args: string[]) {
    if (lab === undefined) throw new Error('the lab is built');
    const entry = path.resolve(import.meta.dirname, '../../support/nat/child.ts');
    const [command, rest] = lab.inside(place, [process.execPath, entry, place === 'relay' ? 'relay' : 'home', ...args]);
    const child = spawn(command, rest, { stdio: ['pipe', 'pipe', 'inherit'] });
    children.push(child);
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    return {
      child,
      next: async <T>(schema: z.ZodType<T>): Promise<T> => {
        const { value } = await lines.next();
        return schema.parse(JSON.parse(String(value)));
      },
    };
  }

  it.skipIf(missing !== undefined)(
    `connect directly by WebRTC, with the relay's own STUN responder${missing === undefined ? '' : ` (needs ${missing})`}`,
    async () => {
      lab = await buildNatLab();
      const relay = start('relay', RELAY_HOST);
      const { ready: bootstrap } = await relay.next(ready);
      const left = start('left', RELAY_HOST, bootstrap);
      const right = start('right', RELAY_HOST, bootstrap);
      const [, server] = await Promise.all([left.next(ready), right.next(ready)]);
      left.child.stdin.write(`${server.ready}\n`);
      const result = await left.next(outcome);
      expect(result.via).toBe('webrtc');
      expect(result.receivedBytes).toBe(16 * LIMITS.frame.dataBytes + 1);
      // More than signalling fits through the relay's own limit: the data cannot have gone that way.
      expect(result.receivedBytes).toBeGreaterThan(LIMITS.relay.bytesPerConnection);
    },
    90_000,
  );
});
