import { existsSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { ensureBuilt, Hearth, hearth, type JsonLine } from '#support/cli.ts';
import { tempDir } from '#support/temp-dir.ts';
import { channelsOf, networkFileOf, paidByChain } from './parts.ts';

beforeAll(ensureBuilt, 120_000);

function earnedOf(run: Hearth): bigint {
  const state = run.of('agent.state', 'contributor-1').at(-1)?.['state'] as
    { money: { earnedWei: string } } | undefined;
  return BigInt(state?.money.earnedWei ?? 0);
}

async function untilGone(run: Hearth, withinMs: number): Promise<readonly number[]> {
  const deadline = Date.now() + withinMs;
  while (run.survivors().length > 0 && Date.now() < deadline) await new Promise((done) => setTimeout(done, 100));
  return run.survivors();
}

const isPaid = (lines: readonly JsonLine[]): boolean => lines.some((line) => line['type'] === 'voucher.received');

describe('hearth practice without an end', () => {
  it(
    'settles everything on Ctrl-C, goes on where it was, and leaves nothing running when it is killed',
    { timeout: 120_000 },
    async () => {
      const home = tempDir();
      const first = new Hearth(['practice'], { home });
      await first.until(isPaid);
      first.kill('SIGINT');
      const ended = await first.ended;
      expect(ended).toMatchObject({ code: 0, signal: null, stderr: '' });
      const [summary] = first.of('practice.summary');
      const paid = BigInt(String(summary?.['paidOnChainWei']));
      expect(paid).toBeGreaterThan(0n);
      expect(summary?.['paidOffChainWei']).toBe(paid.toString());
      expect(earnedOf(first)).toBe(paid);
      expect(first.survivors()).toEqual([]);
      expect(existsSync(networkFileOf(home))).toBe(false);

      // The same chain, the same keys, the same ledger: what was earned is still there, and more comes.
      const second = new Hearth(['practice'], { home });
      await second.until((lines) => lines.some((line) => line['type'] === 'agent.state'));
      expect(earnedOf(second)).toBe(paid);
      expect(channelsOf(second)).toBe(channelsOf(first));
      await second.until(isPaid);

      // One at a time for a home: the second is told so, and the first is not disturbed.
      const beside = await hearth(['practice'], { home });
      expect(beside.code).toBe(1);
      expect(beside.lines.findLast((line) => 'error' in line)?.['error']).toMatchObject({ code: 'practice.in_use' });
      expect(existsSync(networkFileOf(home))).toBe(true);

      second.kill('SIGKILL');
      expect(await second.ended).toMatchObject({ signal: 'SIGKILL' });
      expect(await untilGone(second, 40_000)).toEqual([]);

      const third = new Hearth(['practice', '--shards', '5'], { home });
      expect(await third.ended).toMatchObject({ code: 0, stderr: '' });
      expect(third.of('practice.summary')[0]).toMatchObject({ verified: 5, paidOffChainWei: '5000000000000000' });
      const onChain = [...(await paidByChain(home, channelsOf(first))).values()].reduce((sum, wei) => sum + wei, 0n);
      expect(earnedOf(third)).toBe(onChain);
    },
  );

  it('tells a script in one line what is wrong with its options', async () => {
    for (const option of ['--shards=0', '--shards=ten', '--contributors=17']) {
      const ended = await hearth(['practice', option], { home: tempDir() });
      expect(ended.code).toBe(1);
      expect(ended.lines.at(-1)?.['error']).toMatchObject({ code: 'command.invalid_option' });
    }
  });
});
