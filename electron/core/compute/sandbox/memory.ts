import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { KiB } from '#shared/units.ts';
import { findTool } from './tools.ts';

const run = promisify(execFile);

export interface ProcessMemory {
  readonly residentBytes: number;
  /** Private writable memory, what RLIMIT_DATA counts: half a gigabyte of it is V8's own and never touched. */
  readonly dataBytes: number;
}

/**
 * The process that does the work. Inside a process namespace `pid` is only the one that waits for it.
 * Falls back to `pid` where the kernel does not tell.
 */
export async function innermostPid(pid: number): Promise<number> {
  try {
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
    const child = Number.parseInt(children, 10);
    return Number.isNaN(child) ? pid : child;
  } catch {
    return pid;
  }
}

/** Memory of another process; undefined where the platform does not say, or when it is gone. */
export async function memoryOf(pid: number): Promise<ProcessMemory | undefined> {
  if (process.platform === 'linux') return await fromProc(pid);
  if (process.platform === 'darwin') return await fromPs(pid);
  return undefined;
}

async function fromProc(pid: number): Promise<ProcessMemory | undefined> {
  try {
    const status = await readFile(`/proc/${pid}/status`, 'utf8');
    const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'mu').exec(status)?.[1]) * KiB;
    const memory = { residentBytes: field('VmRSS'), dataBytes: field('VmData') };
    // A process that has just died still has a status, without the sizes.
    return Number.isNaN(memory.residentBytes + memory.dataBytes) ? undefined : memory;
  } catch {
    return undefined;
  }
}

async function fromPs(pid: number): Promise<ProcessMemory | undefined> {
  try {
    const { stdout } = await run('/bin/ps', ['-o', 'rss=', '-p', String(pid)]);
    const residentBytes = Number.parseInt(stdout, 10) * KiB;
    return Number.isNaN(residentBytes) ? undefined : { residentBytes, dataBytes: residentBytes };
  } catch {
    return undefined;
  }
}

/**
 * Sets the kernel's ceiling on a running executor's private memory: allocations beyond fail inside it. An address-space
 * limit would not do, since V8 and GPU drivers reserve terabytes they never touch. False where there is no such thing.
 */
export async function limitData(pid: number, bytes: number): Promise<boolean> {
  const tool = findTool('prlimit');
  if (process.platform !== 'linux' || tool === undefined) return false;
  try {
    await run(tool, ['--pid', String(pid), `--data=${Math.round(bytes)}`]);
    return true;
  } catch {
    return false;
  }
}
