import type { SandboxTier } from './command.ts';
import { findTool } from './tools.ts';
import type { DenialOutcomes } from './denials.ts';

/** One thing an executor must not do, and who stops it. `bySystem` holds against native code too, `byNode` against JavaScript. */
export interface SandboxDenial {
  readonly what: 'network' | 'local-sockets' | 'file-writes' | 'file-reads' | 'processes' | 'signals';
  readonly bySystem: boolean;
  readonly byNode: boolean;
}

/** What was found by trying, on this machine, today: for `hearth doctor` and for the log. */
export interface SandboxReport {
  readonly platform: NodeJS.Platform;
  readonly tier: SandboxTier;
  /** Stronger tiers that do not work here, and why. */
  readonly rejected: readonly { readonly tier: SandboxTier; readonly reason: string }[];
  readonly denials: readonly SandboxDenial[];
  /** `kernel`: allocations fail at the ceiling; `watchdog`: an executor above it is killed within a moment. */
  readonly memoryCeiling: 'kernel' | 'watchdog' | 'none';
  /** The kernel ends executors when the agent is killed. Elsewhere they end with the shard they run. */
  readonly endsWithAgent: boolean;
  /** Sentences on what could not be denied; empty when all of it is. */
  readonly gaps: readonly string[];
}

const GAPS: Readonly<Record<SandboxDenial['what'], string>> = {
  network: 'Native code in an executor could open network connections.',
  'local-sockets': 'Native code in an executor could talk to local services through their socket files.',
  'file-writes':
    'Native code in an executor could empty or remove files of your user, and where the system sets no limit write them.',
  'file-reads': 'Native code in an executor could read files that your user may read.',
  processes: 'Native code in an executor could start other programs.',
  signals: 'Native code in an executor could end other programs of your user.',
};

/** Puts the two runs of the check side by side. A process in a jail can start only what the jail holds: that is denial enough. */
export function sandboxReport(
  platform: NodeJS.Platform,
  tier: SandboxTier,
  rejected: SandboxReport['rejected'],
  outcomes: { readonly bare: DenialOutcomes; readonly full: DenialOutcomes },
): SandboxReport {
  const { bare, full } = outcomes;
  const denial = (
    what: SandboxDenial['what'],
    pick: (outcomes: DenialOutcomes) => readonly string[],
  ): SandboxDenial => ({
    what,
    bySystem: pick(bare).every((outcome) => outcome !== 'allowed'),
    byNode: pick(full).every((outcome) => outcome !== 'allowed'),
  });
  const processes = denial('processes', ({ spawn }) => [spawn]);
  const denials = [
    denial('network', ({ network }) => [network]),
    denial('local-sockets', ({ localSocket }) => [localSocket]),
    denial('file-writes', ({ writeFile, writeWorkingFolder, removeFile }) => [
      writeFile,
      writeWorkingFolder,
      removeFile,
    ]),
    denial('file-reads', ({ readFile }) => [readFile]),
    { ...processes, bySystem: processes.bySystem || tier === 'jail' },
    denial('signals', ({ signal }) => [signal]),
  ];
  return {
    platform,
    tier,
    rejected,
    denials,
    memoryCeiling: memoryCeiling(platform),
    endsWithAgent: platform === 'linux' && findTool('setpriv') !== undefined,
    gaps: denials.filter(({ bySystem }) => !bySystem).map(({ what }) => GAPS[what]),
  };
}

function memoryCeiling(platform: NodeJS.Platform): SandboxReport['memoryCeiling'] {
  if (platform === 'linux') return findTool('prlimit') === undefined ? 'watchdog' : 'kernel';
  return platform === 'darwin' ? 'watchdog' : 'none';
}
