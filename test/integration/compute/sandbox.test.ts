import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { probeSandbox } from '#core/compute/sandbox/probe.ts';
import { tiersOf, type SandboxTier } from '#core/compute/sandbox/command.ts';
import { findTool } from '#core/compute/sandbox/tools.ts';
import type { SandboxReport } from '#core/compute/sandbox/report.ts';
import { executorFiles, repositoryRoot } from '#support/compute-models.ts';
import { tempDir } from '#support/temp-dir.ts';

const EVERYTHING = ['network', 'local-sockets', 'file-writes', 'file-reads', 'processes', 'signals'];
const namespaces = process.platform === 'linux' && findTool('unshare') !== undefined;

function denied(report: SandboxReport, by: 'bySystem' | 'byNode'): readonly string[] {
  return report.denials.filter((denial) => denial[by]).map(({ what }) => what);
}

/** Undefined where the machine does not allow the tier: containers, for instance, may forbid namespaces. */
async function tryTier(tier: SandboxTier): Promise<SandboxReport | undefined> {
  return await probeSandbox(executorFiles, [tier]).catch(() => undefined);
}

describe('an executor that tries what it must not do', () => {
  let strongest: SandboxReport;
  let jail: SandboxReport | undefined;
  let network: SandboxReport | undefined;

  beforeAll(async () => {
    strongest = await probeSandbox(executorFiles);
    [jail, network] = namespaces ? await Promise.all([tryTier('jail'), tryTier('network-namespace')]) : [];
  });

  it('is denied everything by Node and the lock-down, in any tier', () => {
    expect(denied(strongest, 'byNode')).toEqual(EVERYTHING);
    expect(tiersOf(process.platform)).toContain(strongest.tier);
  });

  it('is denied everything by Node and the lock-down where the system offers nothing, and that is said', async () => {
    const plain = await probeSandbox(executorFiles, ['plain']);
    expect(denied(plain, 'byNode')).toEqual(EVERYTHING);
    expect(denied(plain, 'bySystem')).not.toContain('network');
    expect(plain.gaps.join(' ')).toContain('network connections');
  });

  it('is denied everything by the system too in a jail (needs Linux with user namespaces)', ({ skip }) => {
    skip(jail === undefined, 'needs Linux with user namespaces');
    expect(jail && denied(jail, 'bySystem')).toEqual(EVERYTHING);
    expect(jail).toMatchObject({ tier: 'jail', gaps: [], memoryCeiling: 'kernel', endsWithAgent: true });
  });

  it('is denied the network in a network namespace (needs Linux with user namespaces)', ({ skip }) => {
    skip(network === undefined, 'needs Linux with user namespaces');
    const bySystem = network === undefined ? [] : denied(network, 'bySystem');
    expect(bySystem).toContain('network');
    expect(network?.gaps).toHaveLength(EVERYTHING.length - bySystem.length);
  });

  it('says which stronger tiers do not work, and why', async () => {
    const files = { ...executorFiles, executorEntry: '/no/such/executor.ts' };
    await expect(probeSandbox(files, ['plain'])).rejects.toThrow('no executor starts');
  });
});

describe('an executor whose agent is killed', () => {
  const started = new Set<number>();
  afterAll(() => {
    for (const pid of started) if (alive(pid)) process.kill(pid, 'SIGKILL');
  });

  it.skipIf(process.platform !== 'linux' || findTool('setpriv') === undefined)(
    'is ended by the kernel in the middle of an endless model (needs Linux with setpriv)',
    async () => {
      const agent = spawn(process.execPath, [path.join(repositoryRoot, 'test/support/lonely-agent.ts')], {
        stdio: ['ignore', 'pipe', 'inherit'],
        // It dies without tidying up.
        env: { ...process.env, TMPDIR: tempDir() },
      });
      const [line] = (await once(agent.stdout, 'data')) as [Buffer];
      const pid = Number(line.toString());
      started.add(pid);
      expect(alive(pid)).toBe(true);
      agent.kill('SIGKILL');
      await once(agent, 'exit');
      // A deadline only for the case that it lives on.
      for (let waited = 0; alive(pid) && waited < 5000; waited += 10) await delay(10);
      expect(alive(pid)).toBe(false);
    },
  );
});

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
