import { existsSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { LIMITS } from '#shared/protocol/limits.ts';
import { assertNever } from '#shared/result.ts';
import type { Backend } from '../port.ts';
import { JAIL_SCRIPT } from './jail-script.ts';
import { findTool } from './tools.ts';

/**
 * How much the operating system helps, strongest first:
 *
 * - `jail` (Linux): own user, mount, network, IPC and process namespaces; a read-only root with the runtime alone in it
 * - `network-namespace` (Linux): own user, network and IPC namespaces; files as the user sees them
 * - `seatbelt` (macOS): sandbox-exec denies network, file writes and forks
 * - `plain`: Node's permission model and the lock-down inside the executor, nothing of the system's
 */
export type SandboxTier = 'jail' | 'network-namespace' | 'seatbelt' | 'plain';

/** What an executor needs to be started, wherever the program lies: as TypeScript sources or as one bundled file. */
export interface ExecutorFiles {
  /** Absolute path of the executor's entry, `electron/executor/main.ts` or `out/executor.js`. */
  readonly executorEntry: string;
  /** Absolute files and folders that the executor may read: its own code and the runtime's packages. */
  readonly readableRoots: readonly string[];
}

export interface CommandOptions {
  readonly tier: SandboxTier;
  readonly files: ExecutorFiles;
  readonly backend: Backend;
  readonly args: readonly string[];
  /** Empty folder of this start alone: the working folder, or where the jail's root is mounted. */
  readonly folder: string;
  /** False only for the check that asks what the operating system denies without Node's help. */
  readonly nodePermissions?: boolean;
}

export interface Command {
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

export function tiersOf(platform: NodeJS.Platform): readonly SandboxTier[] {
  if (platform === 'linux') return ['jail', 'network-namespace', 'plain'];
  if (platform === 'darwin') return ['seatbelt', 'plain'];
  return ['plain'];
}

/** The command line that starts an executor in the tier; undefined when a tool for it is missing on this machine. */
export function sandboxCommand(options: CommandOptions): Command | undefined {
  const node = [process.execPath, ...nodeFlags(options), options.files.executorEntry, ...options.args];
  const wrapped = wrap(options, node);
  const [file, ...args] = wrapped ?? [];
  return file === undefined ? undefined : { file, args, env: environmentOf(options) };
}

function nodeFlags({ files, nodePermissions = true }: CommandOptions): string[] {
  const always = ['--disable-sigusr1', '--no-warnings', '--disallow-code-generation-from-strings'];
  if (!nodePermissions) return always;
  const reads = withRealPaths(files.readableRoots).map((root) => `--allow-fs-read=${root}`);
  return [...always, '--permission', '--allow-addons', ...reads];
}

/** Modules are loaded from where their links point to: node_modules may be a link, or full of them. */
function withRealPaths(files: readonly string[]): readonly string[] {
  return [...new Set(files.flatMap((file) => (existsSync(file) ? [file, realpathSync(file)] : [file])))];
}

function wrap(options: CommandOptions, node: readonly string[]): readonly string[] | undefined {
  switch (options.tier) {
    case 'jail':
      return jail(options, node);
    case 'network-namespace':
      return networkNamespace(options, node);
    case 'seatbelt':
      return seatbelt(node);
    case 'plain':
      return [...(dieWithAgent() ?? []), ...(limits(options) ?? []), ...node];
    default:
      return assertNever(options.tier);
  }
}

/** Twice `unshare`: the first makes the user namespace, which resets the wish to die with the agent; the second forks. */
function jail(options: CommandOptions, node: readonly string[]): readonly string[] | undefined {
  const unshare = findTool('unshare');
  const shell = findTool('sh');
  const death = dieWithAgent();
  const ceilings = limits(options);
  const dropRights = setpriv('--no-new-privs', '--bounding-set=-all', '--inh-caps=-all');
  if (unshare === undefined || shell === undefined || findTool('mount') === undefined) return undefined;
  if (death === undefined || ceilings === undefined || dropRights === undefined) return undefined;
  const namespaces = ['--mount', '--net', '--ipc', '--pid', '--fork', '--kill-child', '--'];
  const paths = visiblePaths(options);
  const build = ['-euc', JAIL_SCRIPT, 'hearth-jail', options.folder, String(paths.length), ...paths, '--'];
  const enter = [unshare, '--user', '--map-root-user', '--', ...death, unshare, ...namespaces, shell, ...build];
  return [...enter, ...dropRights, ...ceilings, ...node];
}

function networkNamespace(options: CommandOptions, node: readonly string[]): readonly string[] | undefined {
  const unshare = findTool('unshare');
  const death = dieWithAgent('--no-new-privs');
  const ceilings = limits(options);
  if (unshare === undefined || death === undefined || ceilings === undefined) return undefined;
  return [unshare, '--user', '--net', '--ipc', '--', ...death, ...ceilings, ...node];
}

function seatbelt(node: readonly string[]): readonly string[] | undefined {
  const tool = findTool('sandbox-exec');
  if (tool === undefined) return undefined;
  return [tool, '-p', '(version 1)(allow default)(deny network*)(deny file-write*)(deny process-fork)', ...node];
}

function setpriv(...flags: readonly string[]): readonly string[] | undefined {
  const tool = findTool('setpriv');
  return tool === undefined ? undefined : [tool, ...flags];
}

function dieWithAgent(...more: readonly string[]): readonly string[] | undefined {
  return setpriv(...more, '--pdeathsig', 'KILL');
}

/**
 * No core dumps, few files, and no file may grow: that last one holds for GPU drivers' shared memory too, so it is left
 * to the read-only root there. Memory is bounded once the executor's own start size is known, see memory.ts.
 */
function limits({ backend, tier }: CommandOptions): readonly string[] | undefined {
  const tool = findTool('prlimit');
  if (tool === undefined) return undefined;
  const { openFiles, processes } = LIMITS.compute;
  const fileSize = backend === 'cpu' || tier !== 'jail' ? ['--fsize=0'] : [];
  // Elsewhere than in a namespace of its own the count would include every process of the user.
  const tasks = tier === 'jail' ? [`--nproc=${processes}`] : [];
  return [tool, '--core=0', `--nofile=${openFiles}`, ...fileSize, ...tasks];
}

const SYSTEM_PATHS = ['/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32', '/nix/store', '/etc/ld.so.cache'];
const DEVICE_PATHS = ['/dev/null', '/dev/zero', '/dev/urandom', '/dev/random'];
/** The runtime asks for the processor's caches and cores. */
const PROCESSOR_PATHS = ['/sys/devices/system/cpu', '/sys/devices/system/node'];

const GPU_PATHS = [
  '/dev/dri',
  '/dev/kfd',
  ...['ctl', '-uvm', '-uvm-tools', '-modeset', ...Array.from({ length: 16 }, (_, i) => String(i))].map(
    (suffix) => `/dev/nvidia${suffix}`,
  ),
  '/dev/nvidia-caps',
  '/sys',
  '/etc/vulkan',
  '/etc/glvnd',
  '/etc/OpenCL',
  '/etc/drirc',
  '/run/opengl-driver',
];

function visiblePaths({ backend, files }: CommandOptions): readonly string[] {
  const gpu = backend === 'cpu' ? PROCESSOR_PATHS : [...GPU_PATHS, ...libraryFolders(), ...driverManifests()];
  const node = withRealPaths([process.execPath]);
  const inSystem = (file: string) => SYSTEM_PATHS.some((root) => file === root || file.startsWith(`${root}/`));
  const own = [...node, ...withRealPaths(files.readableRoots), ...gpu].filter(
    (file) => path.isAbsolute(file) && !inSystem(file),
  );
  return [...new Set([...SYSTEM_PATHS, ...DEVICE_PATHS, ...own])];
}

function libraryFolders(): readonly string[] {
  return (process.env['LD_LIBRARY_PATH'] ?? '').split(':').filter((folder) => path.isAbsolute(folder));
}

function driverManifests(): readonly string[] {
  return ['VK_ICD_FILENAMES', 'VK_DRIVER_FILES']
    .flatMap((name) => (process.env[name] ?? '').split(':'))
    .filter((file) => path.isAbsolute(file))
    .map((file) => path.dirname(file));
}

/** Which GPU and which driver; nothing else of the agent's environment reaches an executor. */
const GPU_VARIABLES = [
  'LD_LIBRARY_PATH',
  'VK_ICD_FILENAMES',
  'VK_DRIVER_FILES',
  'CUDA_VISIBLE_DEVICES',
  'NVIDIA_VISIBLE_DEVICES',
  'MESA_VK_DEVICE_SELECT',
  'DRI_PRIME',
];
/** Windows starts no process, and loads no driver, without these. */
const WINDOWS_VARIABLES = ['SystemRoot', 'windir', 'ProgramData', 'ProgramFiles'];

function environmentOf({ backend, folder, tier }: CommandOptions): Readonly<Record<string, string>> {
  const names = [
    ...(backend === 'cpu' ? [] : GPU_VARIABLES),
    ...(process.platform === 'win32' ? WINDOWS_VARIABLES : []),
  ];
  const own = tier === 'jail' ? '/empty' : folder;
  const kept = names.flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return {
    ...Object.fromEntries(kept),
    PATH: process.platform === 'win32' ? (process.env['SystemRoot'] ?? '') : '/usr/bin:/bin:/usr/sbin:/sbin',
    // Without it the runtime writes a device id into the user's cache and sends usage data.
    ORT_DISABLE_TELEMETRY: '1',
    __GL_SHADER_DISK_CACHE: '0',
    MESA_SHADER_CACHE_DISABLE: 'true',
    LC_ALL: 'C',
    HOME: own,
    TMPDIR: own,
    XDG_RUNTIME_DIR: own,
    NODE_OPTIONS: '',
  };
}
