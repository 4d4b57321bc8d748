import { existsSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { ensureBuilt, Hearth, type JsonLine } from '#support/cli.ts';
import { tempDir } from '#support/temp-dir.ts';
import {
  channelsOf,
  earningsIn,
  networkFileOf,
  paidByChain,
  PRICE_WEI,
  shardsByInputs,
  startLiar,
  sumOf,
  type Liar,
} from './parts.ts';

beforeAll(ensureBuilt, 120_000);

const SHARDS = 200;
/** Verified shards after which one honest contributor is killed: midway, with work in its hands. */
const KILLED_AT = 40;

/** Every lie that was told is refused; the liar is paid for its truths alone, by its own account and the requester's. */
async function accountOf(run: Hearth, liar: Liar) {
  const heard = (type: string) => liar.events.filter((event) => event['type'] === type);
  const told = (type: string) => run.of(type, 'requester').filter((line) => line['peerId'] === liar.peerId);
  const shardsOf = (lines: readonly JsonLine[]) => lines.map((line) => Number(line['shard']));

  const shardOf = await shardsByInputs(SHARDS);
  const invented = heard('liar.lied').map((event) => shardOf.get(String(event['inputs'])) ?? -1);
  const answered = new Set(shardsOf(told('shard.answered')));
  const lies = invented.filter((shard) => answered.has(shard));
  expect(invented).not.toContain(-1);
  expect(lies.length).toBeGreaterThan(0);
  const refused = new Set(shardsOf(told('shard.refused')));
  expect(lies.filter((shard) => !refused.has(shard))).toEqual([]);
  expect(told('peer.lied').length).toBeGreaterThan(0);

  const accepted = shardsOf(heard('shard.accepted'));
  expect(accepted.filter((shard) => invented.includes(shard))).toEqual([]);
  const received = sumOf(heard('voucher.received'), 'addedWei');
  expect(received).toBe(sumOf(told('voucher.sent'), 'addedWei'));
  expect(received).toBe(PRICE_WEI * BigInt(accepted.length));
  return { received, accepted: accepted.length, lies: lies.length };
}

describe('the practice network with a liar and a casualty', () => {
  it(
    `has ${SHARDS} shards verified, pays nobody for a lie, and promises what the chain pays`,
    { timeout: 180_000 },
    async () => {
      const home = tempDir();
      const run = new Hearth(['practice', '--shards', String(SHARDS), '--contributors', '2'], { home });
      await run.until(() => existsSync(networkFileOf(home)) && run.of('network.ready').length === 1);
      const channels = channelsOf(run);
      const place = tempDir();
      const liar = await startLiar(home, place);

      await run.until(
        () =>
          run.of('shard.verified').length >= KILLED_AT &&
          run.of('shard.accepted', 'contributor-2').length > 0 &&
          run.of('peer.lied').length > 0,
      );
      const [casualty] = run.of('process.started', 'contributor-2');
      process.kill(Number(casualty?.['pid']), 'SIGKILL');
      await run.until(() => run.of('practice.summary').length === 1);
      const ended = await run.ended;
      await liar.stop();

      const [summary] = run.of('practice.summary');
      expect(ended).toMatchObject({ code: 0, signal: null, stderr: '' });
      expect(summary).toMatchObject({ shards: SHARDS, verified: SHARDS, paidOnChainWei: summary?.['paidOffChainWei'] });
      expect(Number(summary?.['refused'])).toBeGreaterThan(0);

      // The one that was killed came back under supervision, and was paid for what it had done before.
      expect(run.of('process.exited', 'contributor-2')[0]).toMatchObject({ signal: 'SIGKILL' });
      expect(run.of('process.started', 'contributor-2')[1]).toMatchObject({ restarts: 1 });

      const { received, accepted, lies } = await accountOf(run, liar);
      const earnings = earningsIn(path.join(place, 'ledger.sqlite'));
      expect(earnings).toMatchObject({ earnedWei: received, settledWei: received, accepted });
      expect(earnings.refused).toBeGreaterThanOrEqual(lies);

      expect(run.survivors()).toEqual([]);
      expect(existsSync(networkFileOf(home))).toBe(false);

      const paid = await paidByChain(home, channels);
      expect([...paid.values()].reduce((sum, amount) => sum + amount, 0n)).toBe(
        BigInt(String(summary?.['paidOffChainWei'])),
      );
      expect(paid.get(liar.address.toLowerCase()) ?? 0n).toBe(received);
    },
  );
});
