import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { once } from 'node:events';
import os from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import { LIMITS } from '#shared/protocol/limits.ts';
import { sandboxCommand, tiersOf, type CommandOptions, type ExecutorFiles, type SandboxTier } from './command.ts';
import type { DenialAttempts, DenialOutcomes } from './denials.ts';
import { sandboxReport, type SandboxReport } from './report.ts';

const outcome = z.string().max(64);
const outcomesSchema: z.ZodType<DenialOutcomes> = z.object({
  network: outcome,
  localSocket: outcome,
  writeFile: outcome,
  writeWorkingFolder: outcome,
  removeFile: outcome,
  readFile: outcome,
  spawn: outcome,
  signal: outcome,
  environment: z.array(z.string().max(256)).max(256),
});

/**
 * Finds the strongest tier that works on this machine, by starting an executor in each and letting it try what it must
 * not do: against a listener, a socket file and a secret made for the purpose. Takes some 0.2 s.
 */
export async function probeSandbox(
  files: ExecutorFiles,
  tiers: readonly SandboxTier[] = tiersOf(process.platform),
): Promise<SandboxReport> {
  const rejected: { tier: SandboxTier; reason: string }[] = [];
  return await withTargets(async (attempts, folder) => {
    for (const tier of tiers) {
      const common = { tier, files, backend: 'cpu', folder } as const;
      const [bare, full] = await Promise.all([
        check({ ...common, args: ['--check', JSON.stringify(attempts)], nodePermissions: false }),
        check({ ...common, args: ['--check', JSON.stringify(attempts), '--locked'] }),
      ]);
      const failure = [full, bare].find((answer) => typeof answer === 'string');
      if (typeof bare !== 'string' && typeof full !== 'string') {
        return sandboxReport(process.platform, tier, rejected, { bare, full });
      }
      rejected.push({ tier, reason: failure ?? '' });
    }
    throw new Error(`no executor starts on this machine: ${rejected.map(({ reason }) => reason).join('; ')}`);
  });
}

/** What the executor answered, or why it did not. */
async function check(options: CommandOptions): Promise<DenialOutcomes | string> {
  const answer = await runOnce(options, LIMITS.compute.startMs);
  if (!answer.ok) return answer.reason;
  const parsed = outcomesSchema.safeParse(answer.json);
  return parsed.success ? parsed.data : 'the check gave no answer';
}

export type OnceAnswer =
  { readonly ok: true; readonly json: unknown } | { readonly ok: false; readonly reason: string };

/** Starts an executor that prints one line of JSON and ends. Its folder is its own and removed afterwards. */
export async function runOnce(options: CommandOptions, timeoutMs: number): Promise<OnceAnswer> {
  const folder = path.join(options.folder, randomBytes(6).toString('hex'));
  await mkdir(folder, { recursive: true });
  try {
    const command = sandboxCommand({ ...options, folder });
    if (command === undefined) return { ok: false, reason: 'a system tool is missing' };
    return await readOneLine(command, folder, timeoutMs);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function readOneLine(
  command: NonNullable<ReturnType<typeof sandboxCommand>>,
  cwd: string,
  timeoutMs: number,
): Promise<OnceAnswer> {
  const child = spawn(command.file, command.args, {
    cwd,
    env: command.env,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  });
  const texts = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (chunk: string) => {
      texts[name] = (texts[name] + chunk).slice(-LIMITS.compute.outputTailBytes);
    });
  }
  const ended = await new Promise<string>((resolve) => {
    child.once('error', (fault) => resolve(fault.message));
    child.once('close', (code, signal) => resolve(`ended with ${signal ?? code ?? 'nothing'}`));
  });
  try {
    return { ok: true, json: JSON.parse(texts.stdout.trim().split('\n').at(-1) ?? '') };
  } catch {
    const words = texts.stderr.trim().split('\n').at(-1) ?? '';
    return { ok: false, reason: words === '' ? ended : `${ended}: ${words.slice(0, 300)}` };
  }
}

async function withTargets<T>(use: (attempts: DenialAttempts, folder: string) => Promise<T>): Promise<T> {
  const root = await mkdtemp(path.join(os.tmpdir(), 'hearth-check-'));
  const socket =
    process.platform === 'win32'
      ? `\\\\.\\pipe\\hearth-${randomBytes(8).toString('hex')}`
      : path.join(root, 'local.sock');
  const servers = [createServer(), createServer()] as const;
  try {
    const [network, local] = servers;
    await Promise.all([
      listening(network.listen(0, '127.0.0.1')),
      listening(local.listen(socket)),
      writeFile(path.join(root, 'secret'), 'not for executors'),
      writeFile(path.join(root, 'precious'), 'not to be removed'),
    ]);
    const attempts = {
      loopbackPort: (network.address() as AddressInfo).port,
      localSocketPath: socket,
      writePath: path.join(root, 'written'),
      removePath: path.join(root, 'precious'),
      readPath: path.join(root, 'secret'),
      agentPid: process.pid,
    };
    return await use(attempts, root);
  } finally {
    for (const server of servers) server.close();
    await rm(root, { recursive: true, force: true });
  }
}

async function listening(server: Server): Promise<void> {
  server.on('connection', (socket) => socket.destroy());
  await once(server, 'listening');
}
