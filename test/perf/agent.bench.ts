import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { repositoryRoot } from '#support/compute-models.ts';
import type { Measure, Row } from './row.ts';

const PROGRAM = path.join(repositoryRoot, 'out/hearth.js');
/** Linux counts processor time in these. */
const TICKS_A_SECOND = 100;
/** After the start: dials, walks and probes are over by then. */
const SETTLE_MS = 3000;

/** The program as it is installed (out/hearth.js) on a fresh home: starting, earning, and idling. */
export const measure: Measure = async ({ quick }) => {
  const home = await mkdtemp(path.join(tmpdir(), 'hearth-bench-'));
  const rows: Row[] = [];
  try {
    rows.push(await firstPaidShard(path.join(home, 'first')));
    const practice = await startProgram(path.join(home, 'idle'), 'practice --no-requester --contributors 0 --json');
    try {
      await practice.line((line) => line.includes('"network.ready"'));
      for (let round = 0; round < (quick ? 1 : 3); round += 1) {
        const agent = await startProgram(path.join(home, 'idle'), 'start --network practice');
        try {
          const name = round === 0 ? 'first start' : 'later start';
          const ms = await agent.line((line) => line.startsWith('looking'));
          if (round < 2) rows.push({ name: `agent: ${name}, until it looks for work`, value: ms, unit: 'ms' });
          if (round === 0) rows.push(...(await idle(agent.pid, quick ? 5 : 20)));
        } finally {
          await agent.stop();
        }
      }
    } finally {
      await practice.stop();
    }
    return rows;
  } finally {
    await rm(home, { recursive: true, force: true });
  }
};

/** `hearth practice` on a fresh home: chain made, contracts deployed, everybody started, until a contributor holds pay. */
async function firstPaidShard(home: string): Promise<Row> {
  const practice = await startProgram(home, 'practice --json');
  try {
    const ms = await practice.line((line) => line.includes('"voucher.received"'));
    return { name: 'agent: hearth practice, until the first paid shard', value: ms / 1000, unit: 's', goal: '< 60' };
  } finally {
    await practice.stop();
  }
}

interface Program {
  readonly pid: number;
  /** Milliseconds from the start to the first line like this. */
  line(like: (line: string) => boolean): Promise<number>;
  stop(): Promise<void>;
}

async function startProgram(home: string, command: string): Promise<Program> {
  const started = performance.now();
  const child = spawn(process.execPath, [PROGRAM, ...command.split(' '), '--home', home], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  await once(child, 'spawn');
  const lines: { readonly text: string; readonly ms: number }[] = [];
  const watchers = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (text) => {
      // An agent at work says a line for each shard: only what is asked for is kept.
      if (lines.length < 10_000) lines.push({ text, ms: performance.now() - started });
      for (const look of watchers) look();
    });
  }
  const find = (like: (line: string) => boolean) => lines.find(({ text }) => like(text))?.ms;
  return {
    pid: child.pid ?? 0,
    line: (like) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const ms = find(like);
          if (ms === undefined) return;
          watchers.delete(look);
          resolve(ms);
        };
        watchers.add(look);
        child.once('exit', () => reject(new Error(`hearth ${command} ended: ${lines.at(-1)?.text ?? ''}`)));
        look();
      }),
    stop: () => stop(child),
  };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGINT');
  const timer = setTimeout(() => child.kill('SIGKILL'), 60_000);
  await exited;
  clearTimeout(timer);
}

/** What the system says of the agent's process and of its children after a while of nothing to do. */
async function idle(pid: number, seconds: number): Promise<readonly Row[]> {
  if (process.platform !== 'linux') return [];
  await delay(SETTLE_MS);
  const before = await processorMs(pid);
  const startedMs = performance.now();
  await delay(seconds * 1000);
  const percent = ((await processorMs(pid)) - before) / (performance.now() - startedMs) / 0.01;
  const children = await childrenOf(pid);
  const sizes = await Promise.all(children.map(residentMiB));
  return [
    { name: 'agent: idle, resident memory', value: await residentMiB(pid), unit: 'MiB', goal: '< 200' },
    {
      name: `agent: idle, resident memory of its ${children.length} child processes`,
      value: sizes.reduce((sum, size) => sum + size, 0),
      unit: 'MiB',
    },
    { name: `agent: idle, processor over ${seconds} s`, value: percent, unit: '% of a core', goal: '< 1' },
  ];
}

async function processorMs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  // Fields 14 and 15; the second is a name in brackets that may hold spaces.
  const [user, system] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13);
  return ((Number(user) + Number(system)) * 1000) / TICKS_A_SECOND;
}

async function residentMiB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? Number.NaN) / 1024;
}

async function childrenOf(pid: number): Promise<readonly number[]> {
  const lists = await Promise.all(
    (await readdir(`/proc/${pid}/task`)).map((task) => readFile(`/proc/${pid}/task/${task}/children`, 'utf8')),
  );
  return lists.flatMap((list) =>
    list
      .trim()
      .split(' ')
      .filter((word) => word !== '')
      .map(Number),
  );
}
