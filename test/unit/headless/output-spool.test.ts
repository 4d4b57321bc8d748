import { appendFileSync, readdirSync, truncateSync, statSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { tempDir } from '#support/temp-dir.ts';
import { f32 } from '#support/tensors.ts';
import { OutputSpool } from '../../../electron/headless/submit/output-spool.ts';

async function opened(folder: string, name = 'job'): Promise<OutputSpool> {
  const spool = await OutputSpool.open(folder, name);
  onTestFinished(() => spool.close());
  return spool;
}

function only(folder: string): string {
  return path.join(folder, readdirSync(folder)[0] ?? '');
}

const output = (value: number) => ({ y: f32([value, value + 0.5], [1, 2]) });

describe('the spool of outputs', () => {
  it('gives back after a crash what was put into it, under the same job id', async () => {
    const folder = tempDir();
    const first = await opened(folder);
    await first.put(2, output(2));
    await first.put(0, output(0));
    const again = await opened(folder);
    expect(again.jobId).toBe(first.jobId);
    expect(again.size).toBe(2);
    expect(again.all(3)).toEqual([output(0), undefined, output(2)]);
  });

  it('drops a record that was cut short, or is none, and goes on behind the last whole one', async () => {
    for (const damage of ['cut', 'junk'] as const) {
      const folder = tempDir();
      const first = await opened(folder);
      await first.put(0, output(0));
      const whole = statSync(only(folder)).size;
      if (damage === 'junk')
        appendFileSync(only(folder), Buffer.concat([Buffer.from([1, 0, 0, 0, 4, 0, 0, 0]), Buffer.from('junk')]));
      else {
        await first.put(1, output(1));
        truncateSync(only(folder), statSync(only(folder)).size - 1);
      }
      const again = await opened(folder);
      expect(again.size).toBe(1);
      expect(statSync(only(folder)).size).toBe(whole);
      await again.put(1, output(7));
      expect((await opened(folder)).all(2)).toEqual([output(0), output(7)]);
    }
  });

  it('keeps the first of two outputs of one shard', async () => {
    const spool = await opened(tempDir());
    await spool.put(0, output(1));
    await spool.put(0, output(2));
    expect(spool.all(1)).toEqual([output(1)]);
  });

  it('keeps jobs apart, and begins a new one after a finished one', async () => {
    const folder = tempDir();
    const a = await opened(folder, 'a');
    const b = await opened(folder, 'b');
    await a.put(0, output(1));
    expect(b.size).toBe(0);
    await a.remove();
    const next = await opened(folder, 'a');
    expect(next.size).toBe(0);
    expect(next.jobId).not.toBe(a.jobId);
  });
});
