import { spawn } from 'node:child_process';
import { createServer, request as httpRequest } from 'node:http';
import { once } from 'node:events';
import { readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { Transaction, Wallet } from 'ethers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { resetPracticeChain, startPracticeChain, type PracticeChain } from '#core/chain/practice/chain.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import { wei, type Address, type Hex } from '#shared/units.ts';
import { COIN, newWallet, practiceChain, removeDirectory, temporaryDirectory, value } from './harness.ts';

let directory: string;
const running: PracticeChain[] = [];

beforeEach(async () => {
  directory = await temporaryDirectory();
});

afterEach(async () => {
  for (const practice of running.splice(0)) await practice.stop();
  await removeDirectory(directory);
});

async function start(
  options: { readonly port?: number; readonly nowSeconds?: () => number } = {},
): Promise<PracticeChain> {
  const practice = await practiceChain({ directory, ...options });
  running.push(practice);
  return practice;
}

async function stop(practice: PracticeChain): Promise<void> {
  running.splice(running.indexOf(practice), 1);
  await practice.stop();
}

async function codeOfStart(port = 0): Promise<string> {
  const result = await startPracticeChain({ directory, port });
  if (result.ok) await result.value.stop();
  return result.ok ? 'started' : result.error.code;
}

const balanceOf = async (practice: PracticeChain, address: Address) =>
  BigInt((await practice.request('eth_getBalance', [address, 'latest'])) as string);

describe('the practice chain’s memory', () => {
  it('brings back the same chain, block for block, and deploys nothing twice', async () => {
    const first = await start();
    const { address } = newWallet();
    await first.faucet(address, wei(5n), wei(7n));
    await first.advanceTime(3600);
    await first.faucet(address, wei(1n), wei(0n));
    const { contracts, deployBlock, chainId } = first;
    const tip = first.tip();
    await stop(first);
    const second = await start({ nowSeconds: () => tip.timestamp });
    expect(second.tip()).toEqual(tip);
    expect(second).toMatchObject({ contracts, deployBlock, chainId });
    expect(second.journal).toMatchObject({ entries: tip.number, long: false });
    expect(await balanceOf(second, address)).toBe(6n);
  });

  it('survives kill -9 at any moment: what was answered is there, with the same hash', async () => {
    const script = path.join(import.meta.dirname, 'practice-process.ts');
    let announced: { readonly number: number; readonly hash: Hex } | undefined;
    for (const lives of [3, 8, 5]) {
      const child = spawn(process.execPath, [script, directory], { stdio: ['ignore', 'pipe', 'inherit'] });
      const exited = once(child, 'exit');
      let lines = 0;
      for await (const line of createInterface(child.stdout)) {
        announced = JSON.parse(line) as typeof announced;
        lines += 1;
        if (lines === lives) child.kill('SIGKILL');
      }
      await exited;
      expect(lines).toBeGreaterThanOrEqual(lives);
      const practice = await start();
      const block = await practice.request('eth_getBlockByNumber', [`0x${announced!.number.toString(16)}`, false]);
      expect(block).toMatchObject({ hash: announced!.hash });
      await stop(practice);
    }
  });

  it('belongs to one process at a time', async () => {
    const practice = await start();
    expect(await codeOfStart()).toBe('practice.in_use');
    const reset = await resetPracticeChain(directory);
    expect(reset.ok ? 'reset' : reset.error.code).toBe('practice.in_use');
    await stop(practice);
    expect(await codeOfStart()).toBe('started');
  });

  it('is reset on request: another chain, with other keys', async () => {
    const first = await start();
    await stop(first);
    value(await resetPracticeChain(directory));
    const second = await start();
    expect(second.contracts.token).not.toBe(first.contracts.token);
  });

  it.each([
    ['journal', 'journal.sqlite', () => 'not a database at all, but long enough to be taken for one'.repeat(20)],
    ['keys', 'keys.json', (text: string) => text.replaceAll(/0x[0-9a-f]{64}/g, `0x${'17'.repeat(32)}`)],
    ['keys’ form', 'keys.json', () => '{'],
  ])('says so when its %s is damaged', async (_what, file, damage) => {
    await stop(await start());
    const name = path.join(directory, file);
    await writeFile(name, damage(await readFile(name, 'latin1')));
    expect(await codeOfStart()).toBe('practice.damaged');
    value(await resetPracticeChain(directory));
    expect(await codeOfStart()).toBe('started');
  });

  it.skipIf(process.platform === 'win32')('keeps its own keys, made here, readable by the owner only', async () => {
    const practice = await start();
    expect((await stat(path.join(directory, 'keys.json'))).mode & 0o777).toBe(0o600);
    // The first account of the phrase every Ethereum tool ships for tests: it must hold nothing.
    expect(await balanceOf(practice, '0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266')).toBe(0n);
  });

  it('says so when its port is taken', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    expect(await codeOfStart(typeof address === 'object' ? (address?.port ?? 0) : 0)).toBe('practice.port_in_use');
    server.close();
  });
});

describe('the practice chain’s clock', () => {
  it('follows the machine’s, ahead by what it was told, and never goes back', async () => {
    let now = 1_900_000_000;
    const practice = await start({ nowSeconds: () => now });
    const { address } = newWallet();
    now += 10;
    await practice.faucet(address, wei(1n), wei(0n));
    expect(practice.tip().timestamp).toBe(now);
    await practice.advanceTime(1000);
    expect(practice.tip().timestamp).toBe(now + 1000);
    const ahead = practice.tip().timestamp;
    now -= 5000;
    await practice.faucet(address, wei(1n), wei(0n));
    expect(practice.tip().timestamp).toBe(ahead);
  });

  it('is brought to the present at a start after a long rest, so that deadlines are seen to have passed', async () => {
    let now = 1_900_000_000;
    await stop(await start({ nowSeconds: () => now }));
    now += 86_400;
    const practice = await start({ nowSeconds: () => now });
    expect(practice.tip().timestamp).toBe(now);
  });
});

interface Raw {
  readonly status: number;
  readonly body: string;
}

function post(url: string, body: string, headers: Record<string, string> = {}, method = 'POST'): Promise<Raw> {
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest(
      url,
      { method, headers: { 'content-type': 'application/json', ...headers } },
      (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += chunk.toString()));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }));
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

const rpc = (method: string, params: readonly unknown[] = []) =>
  JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });

describe('the practice chain’s door', () => {
  it('is closed to web pages, other hosts’ names and other methods', async () => {
    const { url } = await start();
    const call = rpc('eth_chainId');
    expect((await post(url, call)).status).toBe(200);
    expect((await post(url, call, { origin: 'https://evil.example' })).status).toBe(403);
    expect((await post(url, call, { origin: 'null' })).status).toBe(403);
    expect((await post(url, call, { host: 'evil.example' })).status).toBe(403);
    expect((await post(url, call, { 'content-type': 'text/plain' })).status).toBe(415);
    expect((await post(url, '', {}, 'GET')).status).toBe(405);
  });

  it('answers only what a stranger may ask', async () => {
    const { url } = await start();
    for (const method of [
      'evm_mine',
      'evm_revert',
      'hardhat_setBalance',
      'eth_sendTransaction',
      'eth_accounts',
      'debug_traceCall',
      'evm_increaseTime',
    ]) {
      expect(JSON.parse((await post(url, rpc(method))).body)).toMatchObject({ error: { code: -32601 } });
    }
  });

  it('takes no oversized, garbled or endless requests', async () => {
    const { url } = await start();
    const large = await post(url, ' '.repeat(LIMITS.chain.practiceRequestBytes + 1)).catch(() => ({ status: 413 }));
    expect(large.status).toBe(413);
    expect(JSON.parse((await post(url, '{')).body)).toMatchObject({ error: { code: -32700 } });
    for (const body of ['[]', '{}', '"x"', 'null', JSON.stringify({ jsonrpc: '1.0', id: 1, method: 'x' })]) {
      expect(JSON.parse((await post(url, body)).body)).toMatchObject({ error: { code: -32600 } });
    }
    const calls = Array.from(
      { length: LIMITS.chain.practiceBatchCount + 1 },
      () => JSON.parse(rpc('eth_chainId')) as unknown,
    );
    expect(JSON.parse((await post(url, JSON.stringify(calls))).body)).toMatchObject({ error: { code: -32600 } });
    const allowed = JSON.parse((await post(url, JSON.stringify(calls.slice(1)))).body) as unknown[];
    expect(allowed).toHaveLength(LIMITS.chain.practiceBatchCount);
  });

  it('takes only transactions it can mine at once, so that no memory is lost', async () => {
    const practice = await start();
    const wallet = newWallet();
    await practice.faucet(wallet.address, wei(COIN), wei(0n));
    const sign = (fields: { readonly nonce: number; readonly maxFeePerGas: bigint }) =>
      new Wallet(`0x${Buffer.from(wallet.privateKey).toString('hex')}`).signTransaction(
        Transaction.from({
          type: 2,
          chainId: practice.chainId,
          to: wallet.address,
          gasLimit: 21_000n,
          maxPriorityFeePerGas: 0n,
          ...fields,
        }),
      );
    const tip = practice.tip();
    for (const raw of [
      await sign({ nonce: 1, maxFeePerGas: 10n ** 12n }),
      await sign({ nonce: 0, maxFeePerGas: 1n }),
      '0x12',
      7,
    ]) {
      expect(JSON.parse((await post(practice.url, rpc('eth_sendRawTransaction', [raw]))).body)).toHaveProperty('error');
    }
    expect(practice.tip()).toEqual(tip);
    const good = await sign({ nonce: 0, maxFeePerGas: 10n ** 12n });
    expect(JSON.parse((await post(practice.url, rpc('eth_sendRawTransaction', [good]))).body)).toHaveProperty('result');
    expect(practice.tip().number).toBe(tip.number + 1);
    for (const tag of ['latest', 'pending']) {
      expect(await practice.request('eth_getTransactionCount', [wallet.address, tag])).toBe('0x1');
    }
    await stop(practice);
    expect((await start({ nowSeconds: () => tip.timestamp })).tip().number).toBe(tip.number + 1);
  });

  it('gives play money to whoever asks, up to what a beginner needs', async () => {
    const practice = await start();
    const { address } = newWallet();
    const ask = async () => JSON.parse((await post(practice.url, rpc('hearth_faucet', [address]))).body) as unknown;
    expect(await ask()).toMatchObject({ result: { gasWei: COIN.toString(), tokenWei: (1000n * COIN).toString() } });
    expect(await ask()).toMatchObject({ result: { gasWei: '0', tokenWei: '0' } });
    expect(JSON.parse((await post(practice.url, rpc('hearth_faucet', ['me']))).body)).toHaveProperty(
      'error.code',
      -32602,
    );
  });
});
