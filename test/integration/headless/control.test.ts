import { connect } from 'node:net';
import path from 'node:path';
import { writeFileSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { askAgent } from '../../../electron/headless/control/client.ts';
import { controlAddress } from '../../../electron/headless/control/address.ts';
import { serveControl, type ControlHandlers } from '../../../electron/headless/control/server.ts';
import { tempDir } from '#support/temp-dir.ts';

const handlers: ControlHandlers = { status: () => ({ earnedWei: 5n }), settle: () => undefined, stop: () => undefined };

async function serving(folder: string, served: ControlHandlers = handlers): Promise<void> {
  const server = await serveControl(folder, served);
  if (!server.ok) throw new Error(server.error.message);
  onTestFinished(() => server.value.close());
}

describe('the agent control socket', () => {
  it('answers this machine, amounts as decimal strings', async () => {
    const folder = tempDir();
    await serving(folder);
    expect(await askAgent(folder, 'status', 2_000)).toEqual({ ok: true, value: { earnedWei: '5' } });
  });

  it('says that nothing runs where nothing runs', async () => {
    expect(await askAgent(tempDir(), 'status', 2_000)).toMatchObject({
      ok: false,
      error: { code: 'agent.not_running' },
    });
  });

  it('keeps a second agent out, and lets one in after a crash left the socket behind', async () => {
    const folder = tempDir();
    writeFileSync(controlAddress(folder), '');
    await serving(folder);
    expect(await serveControl(folder, handlers)).toMatchObject({ ok: false, error: { code: 'agent.already_running' } });
  });

  it('works in a folder whose path is longer than a socket name may be', async () => {
    const folder = path.join(tempDir(), 'x'.repeat(120));
    await serving(folder);
    expect((await askAgent(folder, 'status', 2_000)).ok).toBe(true);
  });

  it('hangs up on garbage and on endless lines, and goes on serving', async () => {
    const folder = tempDir();
    await serving(folder);
    for (const bytes of ['not json\n', '{"id":1,"call":"export"}\n', 'x'.repeat(2 * 1024 * 1024)]) {
      const socket = connect(controlAddress(folder));
      socket.on('error', () => {});
      socket.write(bytes);
      await new Promise((resolve) => socket.once('close', resolve));
    }
    expect((await askAgent(folder, 'status', 2_000)).ok).toBe(true);
  });
});
