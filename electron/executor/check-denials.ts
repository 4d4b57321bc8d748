import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { DenialAttempts, DenialOutcomes } from '#core/compute/sandbox/denials.ts';

/**
 * Tries everything an executor must not be able to do, and says what came of it: 'allowed', or the code of the error.
 * Run once bare, to learn what the operating system denies by itself, and once with every line of defence up.
 */
export async function checkDenials(given: unknown): Promise<DenialOutcomes> {
  const attempts = given as DenialAttempts;
  return {
    network: await tryConnect({ host: '127.0.0.1', port: attempts.loopbackPort }),
    localSocket: await tryConnect({ path: attempts.localSocketPath }),
    writeFile: attempt(() => writeFileSync(attempts.writePath, 'x')),
    writeWorkingFolder: attempt(() => writeFileSync('written-by-a-shard', 'x')),
    removeFile: attempt(() => rmSync(attempts.removePath)),
    readFile: attempt(() => readFileSync(attempts.readPath)),
    spawn: attempt(() => {
      const { error } = builtin('node:child_process').spawnSync(process.execPath, ['--version']);
      if (error !== undefined) throw error;
    }),
    // First of a process namespace of its own: the agent's number means somebody else there, or nobody.
    signal: process.pid === 1 ? 'own-namespace' : attempt(() => process.kill(attempts.agentPid, 0)),
    environment: Object.keys(process.env).sort(),
  };
}

/**
 * Not an import: those modules are denied to executors by lint, by the lock-down and by the permission model, and here
 * we want to see them denied.
 */
function builtin<Name extends 'node:net' | 'node:child_process'>(name: Name): Builtins[Name] {
  return process.getBuiltinModule(name);
}

interface Builtins {
  readonly 'node:net': {
    connect(to: { readonly host: string; readonly port: number } | { readonly path: string }): Connection;
  };
  readonly 'node:child_process': { spawnSync(file: string, args: readonly string[]): { readonly error?: Error } };
}

interface Connection {
  once(event: 'connect', listener: () => void): unknown;
  once(event: 'error', listener: (fault: Error) => void): unknown;
  destroy(): unknown;
}

async function tryConnect(to: Parameters<Builtins['node:net']['connect']>[0]): Promise<string> {
  try {
    const connection = builtin('node:net').connect(to);
    await new Promise<void>((resolve, reject) => {
      connection.once('connect', resolve);
      connection.once('error', reject);
    });
    connection.destroy();
    return 'allowed';
  } catch (fault) {
    return codeOf(fault);
  }
}

function attempt(action: () => unknown): string {
  try {
    action();
    return 'allowed';
  } catch (fault) {
    return codeOf(fault);
  }
}

function codeOf(fault: unknown): string {
  if (fault instanceof Error && 'code' in fault && typeof fault.code === 'string') return fault.code;
  return fault instanceof Error ? fault.name : 'unknown';
}
