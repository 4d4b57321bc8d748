import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, onTestFinished } from 'vitest';

/** The program as its users run it: the bundle, in a process of its own, with a home of its own. */

const REPO = path.resolve(import.meta.dirname, '../..');
export const OUT = path.join(REPO, 'out');

/** Builds what is stale, as `npm test` does: a second when nothing is. Call it before the first test of a file. */
export function ensureBuilt(): void {
  execFileSync(process.execPath, [path.join(REPO, 'build/setup.mjs')], { stdio: ['ignore', 'ignore', 'inherit'] });
}

/** One line of `--json`. */
export type JsonLine = Readonly<Record<string, unknown>>;

export interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Standard output, a JSON object a line. */
  readonly lines: readonly JsonLine[];
}

export interface HearthOptions {
  /** Everything is kept here; absent, the command is run without --home and --json (help, mistakes). */
  readonly home?: string;
  /** Without it, `--json` is added where a home is given. */
  readonly plain?: boolean;
  readonly env?: Readonly<Record<string, string>>;
  /** Standard input; closed at once by default. */
  readonly input?: string;
}

/** A command that is running. */
export class Hearth {
  readonly lines: JsonLine[] = [];
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcess;
  readonly #waiting = new Set<() => void>();
  /** Every process that was ever seen below this one, with its start time: numbers are used again. */
  readonly #family = new Map<number, string>();
  readonly #watch: NodeJS.Timeout;
  #isOver = false;

  constructor(args: readonly string[], options: HearthOptions = {}) {
    const flags = options.home === undefined ? [] : ['--home', options.home, ...(options.plain ? [] : ['--json'])];
    const { HEARTH_HOME: _home, HEARTH_WALLET_PASSPHRASE: _passphrase, ...environment } = process.env;
    this.#child = spawn(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', path.join(OUT, 'hearth.js'), ...args, ...flags],
      { env: { ...environment, NO_COLOR: '1', ...options.env }, stdio: 'pipe' },
    );
    this.#child.stdin?.on('error', () => {});
    this.#child.stdin?.end(options.input ?? '');
    let stdout = '';
    let stderr = '';
    let rest = '';
    this.#child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      stdout += chunk;
      const parts = (rest + chunk).split('\n');
      rest = parts.pop() ?? '';
      for (const part of parts) {
        const line = parseLine(part);
        if (line !== undefined) this.lines.push(line);
      }
      this.#look();
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      stderr += chunk;
    });
    this.#watch = setInterval(() => this.#lookForFamily(), 250);
    this.ended = new Promise((resolve) => {
      this.#child.once('close', (code, signal) => {
        this.#isOver = true;
        clearInterval(this.#watch);
        resolve({ code, signal, stdout, stderr, lines: this.lines });
        this.#look();
      });
    });
    onTestFinished(async () => {
      this.#lookForFamily();
      this.#child.kill('SIGKILL');
      await this.ended;
      for (const pid of this.survivors()) kill(pid);
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  kill(signal: NodeJS.Signals): void {
    this.#lookForFamily();
    this.#child.kill(signal);
  }

  /** The lines of one kind so far. */
  of(type: string, role?: string): readonly JsonLine[] {
    return this.lines.filter((line) => line['type'] === type && (role === undefined || line['role'] === role));
  }

  /** Resolves once `enough` of the lines so far; rejects with the program's last words when it ends before. */
  async until(enough: (lines: readonly JsonLine[]) => boolean): Promise<void> {
    while (!enough(this.lines)) {
      if (this.#isOver) {
        const { code, stdout, stderr } = await this.ended;
        throw new Error(`it ended (${code}) before that:\n${stdout.slice(-2000)}\n${stderr.slice(-2000)}`);
      }
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  /** Processes that this command started, at any depth, and that still run. */
  survivors(): readonly number[] {
    for (const line of this.lines) {
      const pid = line['type'] === 'process.started' ? Number(line['pid']) : 0;
      // Too late to know when it started; better one too many than one too few.
      if (pid > 0 && !this.#family.has(pid)) this.#family.set(pid, startTimeOf(pid) ?? 'gone');
    }
    return [...this.#family].filter(([pid, started]) => isRunning(pid, started)).map(([pid]) => pid);
  }

  #look(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  #lookForFamily(): void {
    for (const [pid, started] of descendantsOf([this.pid, ...this.#family.keys()])) this.#family.set(pid, started);
  }
}

/** Runs a command to its end. */
export function hearth(args: readonly string[], options: HearthOptions = {}): Promise<Ended> {
  return new Hearth(args, options).ended;
}

/** The coded error that a command ended with in `--json`; fails the test when there is none. */
export function errorOf(ended: Ended): { readonly code: string; readonly message: string; readonly remedy: string } {
  const line = ended.lines.findLast((candidate) => candidate['error'] !== undefined);
  if (line === undefined) expect.fail(`no error in:\n${ended.stdout.slice(-2000)}\n${ended.stderr.slice(-2000)}`);
  return line['error'] as ReturnType<typeof errorOf>;
}

function parseLine(text: string): JsonLine | undefined {
  try {
    return JSON.parse(text) as JsonLine;
  } catch {
    return undefined;
  }
}

/** Processes below these by /proc; none where there is no /proc: there the program's own events have to do. */
function descendantsOf(roots: readonly number[]): ReadonlyMap<number, string> {
  if (!existsSync('/proc/self/stat')) return new Map();
  const processes = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => ({ pid: Number(name), stat: statOf(Number(name)) }));
  const found = new Map<number, string>();
  const above = new Set(roots);
  for (let before = -1; before !== found.size;) {
    before = found.size;
    for (const { pid, stat } of processes) {
      if (stat === undefined || found.has(pid) || !above.has(stat.parent)) continue;
      found.set(pid, stat.started);
      above.add(pid);
    }
  }
  return found;
}

function startTimeOf(pid: number): string | undefined {
  return statOf(pid)?.started;
}

function isRunning(pid: number, started: string): boolean {
  if (existsSync('/proc/self/stat')) {
    const stat = statOf(pid);
    return stat !== undefined && stat.started === started && stat.state !== 'Z';
  }
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** proc(5): state, parent and start time are fields 3, 4 and 22; the second one, the name, may hold spaces. */
function statOf(
  pid: number,
): { readonly state: string; readonly parent: number; readonly started: string } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state = '', parent = '', ...fields] = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return { state, parent: Number(parent), started: fields[17] ?? '' };
  } catch {
    return undefined;
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It went by itself.
  }
}
