import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createChain, type EthersChain } from '#core/chain/chain.ts';
import type { PracticeChain } from '#core/chain/practice/chain.ts';
import { openLedger } from '#core/ledger/open-ledger.ts';
import { practicePurseFromFile } from '#core/key-file.ts';
import type { NetworkFile } from '#shared/model/network-file.ts';
import { wei } from '#shared/units.ts';
import { TEST_NETWORK, TestNodes } from '#support/network-nodes.ts';
import { networkFileOf, practiceChain, removeDirectory, temporaryDirectory, value } from '../chain/harness.ts';
import { PRICE, type CrashConfig, type FromRole, type KillPoint } from './crash-messages.ts';

const both = (machine: KillPoint['machine'], to: string, nth = 2): KillPoint[] =>
  (['before', 'after'] as const).map((moment) => ({ machine, to, moment, nth }));

/** Every transition that a provider makes in paid work, in an order in which one job can show them all. */
const PROVIDER_WORKING = [
  ...both('channel', 'open', 1),
  ...['granted', 'running', 'computed', 'submitted', 'judged', 'paid'].flatMap((to) => both('lease', to)),
];
const PROVIDER_CLOSING = [...both('channel', 'closing', 1), ...both('channel', 'closed', 1)];

const REQUESTER_WORKING = [
  ...both('job', 'running', 1),
  ...both('channel', 'opening', 1),
  ...both('channel', 'open', 1),
  ...both('grant', 'open'),
  ...both('answer', 'received'),
  ...both('shard', 'answered'),
  ...both('answer', 'checked'),
  ...both('shard', 'verified'),
  ...both('answer', 'paid'),
  ...both('shard', 'settled'),
  ...both('grant', 'answered'),
];
/** When the provider dies beside it, and comes back without the leases that it had not computed. */
const REQUESTER_LEFT = [...both('grant', 'returned', 1), ...both('shard', 'queued', 1)];
const REQUESTER_CLOSING = [
  ...both('job', 'finishing', 1),
  ...both('channel', 'closed', 1),
  ...both('job', 'finished', 1),
];

class Role {
  readonly child: ChildProcess;
  private readonly seen = new Set<string>();
  private readonly waiters: { readonly type: string; readonly resolve: () => void }[] = [];
  readonly ended: Promise<NodeJS.Signals | null>;

  constructor(config: CrashConfig) {
    const entry = path.join(import.meta.dirname, 'crash-role.ts');
    this.child = fork(entry, [JSON.stringify(config)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.child.on('message', (message: FromRole) => {
      this.seen.add(message.type);
      for (const waiter of this.waiters) if (waiter.type === message.type) waiter.resolve();
    });
    this.ended = once(this.child, 'exit').then(([, signal]) => signal as NodeJS.Signals | null);
  }

  said(type: FromRole['type']): Promise<void> {
    if (this.seen.has(type)) return Promise.resolve();
    return new Promise((resolve) => {
      this.waiters.push({ type, resolve });
    });
  }

  async stop(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.ended;
  }
}

describe('kill -9 at every transition', () => {
  let practice: PracticeChain;
  let networkFile: NetworkFile;
  const nodes = new TestNodes();
  const folders: string[] = [];
  const roles: Role[] = [];

  beforeAll(async () => {
    const folder = await temporaryDirectory();
    folders.push(folder);
    practice = await practiceChain({ directory: folder });
    const relay = await nodes.relay();
    networkFile = { ...networkFileOf(practice), networkId: TEST_NETWORK, bootstrap: [...relay.network.addresses()] };
  });

  afterAll(async () => {
    for (const role of roles) await role.stop();
    await nodes.stop();
    await practice.stop();
    for (const folder of folders) await removeDirectory(folder);
  });

  function start(config: Omit<CrashConfig, 'networkFile'>): Role {
    const role = new Role({ ...config, networkFile });
    roles.push(role);
    return role;
  }

  /** A folder with a purse that holds coins and tokens. */
  async function home(): Promise<string> {
    const directory = await temporaryDirectory();
    folders.push(directory);
    const purse = value(await practicePurseFromFile(path.join(directory, 'purse.key')));
    await practice.faucet(purse.address, wei(10n ** 19n), wei(10n ** 20n));
    return directory;
  }

  /** Lets a role die at each of these points in turn; the next life begins where the last one ended. */
  async function dieAt(points: readonly KillPoint[], config: Omit<CrashConfig, 'networkFile' | 'kill'>): Promise<void> {
    for (const kill of points) {
      const role = start({ ...config, kill });
      const outcome = await Promise.race([role.ended, role.said('done').then(() => 'done')]);
      expect({ kill, outcome }).toEqual({ kill, outcome: 'SIGKILL' });
    }
  }

  async function expectWhole(provider: string, requester: string): Promise<void> {
    const chain: EthersChain = await createChain({
      networkFile,
      wallet: value(await practicePurseFromFile(path.join(requester, 'purse.key'))),
    });
    const buyer = value(openLedger(path.join(requester, 'ledger.sqlite'), 'requester'));
    const worker = value(openLedger(path.join(provider, 'ledger.sqlite'), 'provider'));
    const channels = buyer.channels.ofJob('job');
    expect(channels).toHaveLength(1);
    const [channel] = channels;
    const onChain = value(await chain.channels.get(channel!.channelId!));
    expect(onChain).toMatchObject({ closed: true, settledWei: channel!.cumulativeWei });
    expect(channel!.cumulativeWei).toBeGreaterThan(0n);
    // No voucher lost: what the payee holds and has settled is what was promised.
    const earnings = worker.money.earnings();
    expect(earnings).toMatchObject({ earnedWei: channel!.cumulativeWei, settledWei: channel!.cumulativeWei });
    expect(worker.money.newestVoucher(channel!.channelId!)).toEqual(channel!.voucher);
    expect(worker.leases.open()).toEqual([]);
    // Nothing paid twice: as many shards' pay as there are answers paid, one a shard.
    const counts = paidAnswers(requester);
    expect(BigInt(counts.paid) * PRICE).toBe(channel!.cumulativeWei);
    expect(counts.shards).toBe(counts.paid);
    expect(earnings.accepted).toBe(counts.paid);
    expectOutputs(requester, buyer.job('job')?.nextDelivery ?? 0);
    expect(buyer.unfinishedWork('job')).toEqual({ shards: [], answers: [], grants: [] });
    buyer.close();
    worker.close();
    await chain.stop();
  }

  it('of the provider loses no voucher and pays nothing twice', { timeout: 300_000 }, async () => {
    const [provider, requester] = [await home(), await home()];
    const buyer = start({ role: 'requester', directory: requester, finish: false });
    await buyer.said('up');
    await dieAt(PROVIDER_WORKING, { role: 'provider', directory: provider, finish: false });
    buyer.child.send({ type: 'finish' });
    await dieAt(PROVIDER_CLOSING, { role: 'provider', directory: provider, finish: false });
    const last = start({ role: 'provider', directory: provider, finish: false });
    await buyer.said('done');
    await last.stop();
    await buyer.stop();
    await expectWhole(provider, requester);
  });

  it('of the requester loses no voucher and pays nothing twice', { timeout: 300_000 }, async () => {
    const [provider, requester] = [await home(), await home()];
    let worker = start({ role: 'provider', directory: provider, finish: false });
    await worker.said('up');
    await dieAt(REQUESTER_WORKING, { role: 'requester', directory: requester, finish: false });
    for (const kill of REQUESTER_LEFT) {
      const role = start({ role: 'requester', directory: requester, finish: false, kill });
      // It may already die of what the life before left to be taken back.
      await Promise.race([role.said('leased'), role.ended]);
      await worker.stop();
      worker = start({ role: 'provider', directory: provider, finish: false });
      expect({ kill, signal: await role.ended }).toEqual({ kill, signal: 'SIGKILL' });
    }
    await dieAt(REQUESTER_CLOSING, { role: 'requester', directory: requester, finish: true });
    const last = start({ role: 'requester', directory: requester, finish: true });
    await last.said('done');
    await last.stop();
    await worker.stop();
    await expectWhole(provider, requester);
  });
});

function paidAnswers(directory: string): { readonly paid: number; readonly shards: number } {
  const db = new DatabaseSync(path.join(directory, 'ledger.sqlite'), { readOnly: true });
  const row = db
    .prepare(`SELECT count(*) AS paid, count(DISTINCT shard) AS shards FROM answers WHERE state = 'paid'`)
    .get();
  db.close();
  return { paid: Number(row?.['paid']), shards: Number(row?.['shards']) };
}

/** Each output at least once, in order within a life, and right. */
function expectOutputs(directory: string, count: number): void {
  const seen = new Set<number>();
  for (const line of readFileSync(path.join(directory, 'outputs.txt'), 'utf8').trim().split('\n')) {
    const [index = NaN, output] = line.split(' ').map(Number);
    expect(output).toBe(Math.fround(index * index + 1));
    seen.add(index);
  }
  expect([...seen].sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, index) => index));
}
