import { createHash } from 'node:crypto';
import path from 'node:path';
import { fork, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { Interface } from 'ethers';
import { expect, onTestFinished } from 'vitest';
import { startPracticeChain } from '#core/chain/practice/chain.ts';
import { openLedger } from '#core/ledger/open-ledger.ts';
import type { ProviderLedger } from '#core/ledger/provider-ledger.ts';
import { practiceWorkload } from '#core/requester/practice/workload.ts';
import { paymentChannelsAbi } from '#shared/contracts/generated/payment-channels.ts';
import { defaultSettings } from '#shared/model/settings.ts';
import { networkFileSchema, type NetworkFile } from '#shared/model/network-file.ts';
import { OUT, type Hearth, type JsonLine } from '#support/cli.ts';
import { fromRoleSchema } from '../../../electron/headless/roles/messages.ts';

/** The practice requester's own (electron/headless/roles/requester-role.ts). */
export const PRICE_WEI = 1_000_000_000_000_000n;
const SEED = 7;

export function networkFileOf(home: string): string {
  return path.join(home, 'data/practice/network.json');
}

export function readNetworkFile(home: string): NetworkFile {
  return networkFileSchema.parse(JSON.parse(readFileSync(networkFileOf(home), 'utf8')));
}

export function sumOf(lines: readonly JsonLine[], field: string): bigint {
  return lines.reduce((sum, line) => sum + BigInt(String(line[field])), 0n);
}

/** The payment contract, as the run said when it was ready. */
export function channelsOf(run: Hearth): string {
  return networkFileSchema.parse(run.of('network.ready')[0]).chain.contracts.channels;
}

/** What a contributor's own ledger says that it earned. */
export function earningsIn(file: string): ReturnType<ProviderLedger['money']['earnings']> {
  const ledger = openLedger(file, 'provider');
  if (!ledger.ok) return expect.fail(ledger.error.message);
  const earnings = ledger.value.money.earnings();
  ledger.value.close();
  return earnings;
}

/** The shard that each digest of inputs stands for. */
export async function shardsByInputs(count: number): Promise<ReadonlyMap<string, number>> {
  const workload = await practiceWorkload({ modelPath: path.join(OUT, 'practice/digits.onnx'), seed: SEED });
  if (!workload.ok) return expect.fail(workload.error.message);
  const { shardAt } = workload.value;
  return new Map(
    Array.from({ length: count }, (_unused, index) => {
      const hash = createHash('sha256');
      for (const [name, tensor] of Object.entries(shardAt(index).inputs)) hash.update(name).update(tensor.bytes);
      return [hash.digest('hex'), index];
    }),
  );
}

export interface Liar {
  readonly pid: number;
  readonly peerId: string;
  readonly address: string;
  readonly events: readonly JsonLine[];
  stop(): Promise<void>;
}

/** The lying contributor joins the practice network of this home, as a stranger would: by the network file alone. */
export async function startLiar(home: string, directory: string): Promise<Liar> {
  const entry = path.resolve(import.meta.dirname, '../../support/roles/lying-contributor.ts');
  const child = fork(entry, { env: { ...process.env, HEARTH_OUT: OUT }, execArgv: [] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const events: JsonLine[] = [];
  const ready = new Promise<{ peerId: string; address: string }>((resolve, reject) => {
    child.on('message', (raw) => {
      const message = fromRoleSchema.parse(raw);
      if (message.kind === 'event') events.push(message.event);
      if (message.kind === 'ready') resolve(message.data as { peerId: string; address: string });
      if (message.kind === 'failed') reject(new Error(message.error.message));
    });
    child.once('exit', (code) => reject(new Error(`the liar ended with ${code}`)));
  });
  child.send({
    kind: 'start',
    config: {
      name: 'liar',
      directory,
      logs: directory,
      networkFile: readNetworkFile(home),
      settings: defaultSettings(),
    },
  });
  const { peerId, address } = await ready;
  return { pid: child.pid ?? 0, peerId, address, events, stop: () => stopped(child) };
}

function stopped(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.send({ kind: 'stop' });
  });
}

/** What the chain itself says was paid out, by payee: its own `Settled` events, read with none of the product's index. */
export async function paidByChain(home: string, channels: string): Promise<ReadonlyMap<string, bigint>> {
  const directory = path.join(home, 'data/practice/chain');
  expect(existsSync(directory)).toBe(true);
  const chain = await startPracticeChain({ directory });
  if (!chain.ok) return expect.fail(chain.error.message);
  try {
    const contract = new Interface(paymentChannelsAbi);
    const logs = (await chain.value.request('eth_getLogs', [
      { fromBlock: '0x0', toBlock: 'latest', address: channels, topics: [contract.getEvent('Settled')?.topicHash] },
    ])) as readonly { readonly topics: readonly string[]; readonly data: string }[];
    const paid = new Map<string, bigint>();
    for (const log of logs) {
      const event = contract.parseLog(log);
      const payee = String(event?.args['payee']).toLowerCase();
      paid.set(payee, (paid.get(payee) ?? 0n) + BigInt(event?.args['paidWei']));
    }
    return paid;
  } finally {
    await chain.value.stop();
  }
}
