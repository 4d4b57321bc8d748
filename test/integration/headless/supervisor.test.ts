import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Supervisor, type ProcessEvent } from '../../../electron/headless/roles/supervisor.ts';

const entry = path.resolve(import.meta.dirname, '../../support/roles/parrot-role.ts');

function supervising() {
  const heard: string[] = [];
  const processes: ProcessEvent[] = [];
  const waiting: { type: ProcessEvent['type']; count: number; done: () => void }[] = [];
  const count = (type: ProcessEvent['type']) => processes.filter((event) => event.type === type).length;
  const supervisor = new Supervisor({
    onEvent: (role, event) => heard.push(`${role} ${event.type}`),
    onProcess: (event) => {
      processes.push(event);
      for (const wait of waiting) if (count(wait.type) >= wait.count) wait.done();
    },
    backOffMs: () => 1,
  });
  onTestFinished(() => supervisor.stop('parrot', 100));
  const start = (mode: string) => supervisor.start({ name: 'parrot', entry, args: [], config: () => ({ mode }) });
  const seen = (type: ProcessEvent['type'], times: number) =>
    new Promise<void>((done) => {
      waiting.push({ type, count: times, done });
      if (count(type) >= times) done();
    });
  return { supervisor, heard, processes, start, seen };
}

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

describe('the supervisor', () => {
  it('starts a role, passes its events on, and carries questions', async () => {
    const { supervisor, heard, start } = supervising();
    expect(await start('calm')).toMatchObject({ ok: true, value: { pid: expect.any(Number) as number } });
    expect(heard).toEqual(['parrot parrot.awake']);
    expect(await supervisor.get('parrot')?.ask('say', { word: 'hello' }, 5_000)).toEqual({
      what: 'say',
      about: { word: 'hello' },
    });
  });

  it('starts a killed role again', async () => {
    const { supervisor, processes, start, seen } = supervising();
    await start('calm');
    expect(await supervisor.get('parrot')?.ask('die', null, 5_000)).toBeUndefined();
    await seen('process.started', 2);
    expect(processes).toContainEqual(expect.objectContaining({ type: 'process.exited', signal: 'SIGKILL' }));
    expect(await supervisor.get('parrot')?.ask('say', 1, 5_000)).toEqual({ what: 'say', about: 1 });
  });

  it('hands on why a role cannot run, and does not try again', async () => {
    const { processes, start, seen } = supervising();
    expect(await start('refuse')).toMatchObject({
      ok: false,
      error: { code: 'parrot.refused', remedy: 'Bring seeds.' },
    });
    await seen('process.exited', 1);
    expect(processes.filter((event) => event.type === 'process.started')).toHaveLength(1);
  });

  it('tells the last words of one that crashed', async () => {
    const { start } = supervising();
    const started = await start('crash');
    expect(started).toMatchObject({ ok: false, error: { code: 'process.died' } });
    expect(started.ok ? '' : started.error.message).toContain('fell off the perch');
  });

  it('gives up waiting for an answer, and kills what will not stop', async () => {
    const { supervisor, start } = supervising();
    const started = await start('stubborn');
    const { pid } = (started.ok ? started.value : {}) as { pid: number };
    expect(await supervisor.get('parrot')?.ask('silence', null, 50)).toBeUndefined();
    await supervisor.stop('parrot', 100);
    expect(alive(pid)).toBe(false);
  });
});
