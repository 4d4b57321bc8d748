import { afterEach, describe, expect, it, vi } from 'vitest';
import { executorFromBundle, executorFromSources } from '#core/compute/executor-files.ts';
import { sandboxCommand, tiersOf, type CommandOptions } from '#core/compute/sandbox/command.ts';
import type { DenialOutcomes } from '#core/compute/sandbox/denials.ts';
import { sandboxReport } from '#core/compute/sandbox/report.ts';
import { findTool } from '#core/compute/sandbox/tools.ts';

const files = executorFromBundle('/opt/hearth/executor.js', '/opt/hearth/node_modules');

function command(more: Partial<CommandOptions> = {}) {
  const made = sandboxCommand({ tier: 'plain', files, backend: 'cpu', args: ['--x'], folder: '/tmp/empty', ...more });
  if (made === undefined) throw new Error('a tool is missing');
  return made;
}

afterEach(() => {
  vi.unstubAllEnvs();
});

describe('the command line of an executor', () => {
  it('turns the permission model on, and lets it read its own files alone', () => {
    const { args } = command();
    expect(args).toEqual(expect.arrayContaining(['--permission', '--allow-addons', '--disable-sigusr1']));
    expect(args.filter((arg) => arg.startsWith('--allow'))).toEqual([
      '--allow-addons',
      '--allow-fs-read=/opt/hearth/executor.js',
      '--allow-fs-read=/opt/hearth/node_modules/onnxruntime-node',
      '--allow-fs-read=/opt/hearth/node_modules/onnxruntime-common',
      '--allow-fs-read=/opt/hearth/node_modules/webgpu',
    ]);
    expect(args.slice(-2)).toEqual(['/opt/hearth/executor.js', '--x']);
  });

  it('hands over nothing of the environment but what says which GPU, and that only to GPUs', () => {
    vi.stubEnv('HEARTH_WALLET_PASSWORD', 'hunter2');
    vi.stubEnv('NODE_OPTIONS', '--inspect');
    vi.stubEnv('CUDA_VISIBLE_DEVICES', '1');
    const cpu = command().env;
    expect(Object.values(cpu)).not.toContain('hunter2');
    expect(cpu).toMatchObject({ ORT_DISABLE_TELEMETRY: '1', NODE_OPTIONS: '', HOME: '/tmp/empty' });
    expect(cpu).not.toHaveProperty('CUDA_VISIBLE_DEVICES');
    expect(command({ backend: 'cuda' }).env).toMatchObject({ CUDA_VISIBLE_DEVICES: '1' });
  });

  it.skipIf(findTool('unshare') === undefined || findTool('prlimit') === undefined)(
    'shows a jail only the runtime’s files, and the GPU’s devices only to GPUs (needs Linux with util-linux)',
    () => {
      const cpu = command({ tier: 'jail' });
      expect(cpu.file).toBe(findTool('unshare'));
      expect(cpu.args).toContain('/opt/hearth/node_modules/onnxruntime-node');
      for (const hidden of [
        '/',
        '/home',
        '/root',
        '/etc',
        '/run',
        '/tmp',
        '/dev/dri',
        '/sys',
        '/opt/hearth/node_modules',
      ])
        expect(cpu.args).not.toContain(hidden);
      expect(command({ tier: 'jail', backend: 'webgpu' }).args).toContain('/dev/dri');
      expect(cpu.args).toEqual(
        expect.arrayContaining(['--no-new-privs', '--bounding-set=-all', '--core=0', '--fsize=0']),
      );
    },
  );
});

describe('executorFromSources', () => {
  it('shows an executor its own sources, not the agent’s', () => {
    const { executorEntry, readableRoots } = executorFromSources('/repo');
    expect(executorEntry).toBe('/repo/electron/executor/main.ts');
    expect(readableRoots).toContain('/repo/shared');
    for (const hidden of ['/repo', '/repo/electron', '/repo/electron/core', '/repo/node_modules'])
      expect(readableRoots).not.toContain(hidden);
  });
});

describe('tiersOf', () => {
  it('ends in what works everywhere', () => {
    expect(tiersOf('linux')).toEqual(['jail', 'network-namespace', 'plain']);
    expect(tiersOf('darwin')).toEqual(['seatbelt', 'plain']);
    expect(tiersOf('win32')).toEqual(['plain']);
  });
});

describe('sandboxReport', () => {
  const outcomes = (outcome: string): DenialOutcomes => ({
    network: outcome,
    localSocket: outcome,
    writeFile: outcome,
    writeWorkingFolder: outcome,
    removeFile: outcome,
    readFile: outcome,
    spawn: outcome,
    signal: outcome,
    environment: [],
  });

  it('names every gap where the system denies nothing', () => {
    const report = sandboxReport('win32', 'plain', [], {
      bare: outcomes('allowed'),
      full: outcomes('ERR_ACCESS_DENIED'),
    });
    expect(report.denials.every(({ bySystem, byNode }) => !bySystem && byNode)).toBe(true);
    expect(report.gaps).toHaveLength(6);
    expect(report).toMatchObject({ memoryCeiling: 'none', endsWithAgent: false });
  });

  it('calls file writes denied only when none of them worked', () => {
    const bare = { ...outcomes('EROFS'), removeFile: 'allowed' };
    const report = sandboxReport('linux', 'network-namespace', [], { bare, full: outcomes('EROFS') });
    expect(report.denials.filter(({ bySystem }) => !bySystem).map(({ what }) => what)).toEqual(['file-writes']);
  });
});
