import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Duplex } from 'node:stream';
import { LIMITS } from '#shared/protocol/limits.ts';
import type { Placement } from '../port.ts';
import { sandboxCommand, type ExecutorFiles, type SandboxTier } from '../sandbox/command.ts';
import { innermostPid, limitData, memoryOf } from '../sandbox/memory.ts';
import { WireFault } from '../wire/fields.ts';
import { aligned, FrameParser, KIND, type Frame } from '../wire/frame.ts';
import {
  decodeLoaded,
  decodeReady,
  decodeResult,
  encodeLoad,
  encodeRun,
  encodeUnload,
  type LoadedMessage,
  type ResultMessage,
  type RunMessage,
} from '../wire/messages.ts';

export interface ExecutorSettings {
  readonly files: ExecutorFiles;
  readonly tier: SandboxTier;
  readonly placement: Placement;
  readonly threads: number;
  /** Above the executor's own size at its start. */
  readonly memoryBytes: number;
}

/** Why an executor ended: our own reasons, or `crash` for everything else. */
export type EndReason =
  'crash' | 'memory' | 'garbage' | 'start-failed' | 'deadline' | 'abort' | 'release' | 'idle' | 'stop';

export interface ExecutorEnd {
  readonly reason: EndReason;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The last of what it printed: a stranger's words, for the log alone. */
  readonly output: string;
}

export type Loaded = LoadedMessage['outcome'] | 'gone';

type Pending =
  | { readonly kind: 'load'; readonly seq: number; readonly settle: (loaded: Loaded) => void }
  | {
      readonly kind: 'run';
      readonly seq: number;
      readonly bodyBytes: number;
      readonly settle: (result: ResultMessage) => void;
    };

/**
 * One life of one executor: a child process and the pipe to it. Answers come in the order of the questions; whatever
 * else comes is garbage and ends it. Nothing here retries: the slot above decides what a death means.
 */
export class ExecutorProcess {
  /** True once it has said hello and its memory ceiling stands; false when it died before. Never rejects. */
  readonly ready: Promise<boolean>;
  /** Settles when the process is gone and everything it wrote has been read. Never rejects. */
  readonly ended: Promise<ExecutorEnd>;
  readonly #child: ChildProcess;
  readonly #pipe: Duplex;
  readonly #settings: ExecutorSettings;
  readonly #pending: Pending[] = [];
  #seq = 0;
  #output = '';
  #reason: EndReason | undefined;
  #gone = false;
  #pid: number | undefined;
  #residentBytes: number | undefined;
  #startBytes = 0;
  #watch: NodeJS.Timeout | undefined;
  #greeted: (ready: boolean) => void = () => undefined;

  /** Undefined when the tier's tools are missing. */
  static start(settings: ExecutorSettings): ExecutorProcess | undefined {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'hearth-executor-'));
    const { backend, device } = settings.placement;
    const args = ['--backend', backend, '--device', String(device), '--threads', String(settings.threads)];
    const command = sandboxCommand({ tier: settings.tier, files: settings.files, backend, args, folder });
    if (command === undefined) return undefined;
    const child = spawn(command.file, command.args, {
      cwd: folder,
      env: command.env,
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      windowsHide: true,
    });
    return new ExecutorProcess(child, settings, folder);
  }

  private constructor(child: ChildProcess, settings: ExecutorSettings, folder: string) {
    this.#child = child;
    this.#settings = settings;
    this.#pid = child.pid;
    this.#pipe = child.stdio[3] as Duplex;
    this.ready = new Promise((resolve) => (this.#greeted = resolve));
    const starting = setTimeout(() => this.kill('start-failed'), LIMITS.compute.startMs);
    void this.ready.then(() => clearTimeout(starting));
    this.ended = this.#untilEnd(folder);
    this.#listen();
  }

  /** The process that does the work, as the machine counts it. */
  get pid(): number | undefined {
    return this.#gone ? undefined : this.#pid;
  }

  get residentBytes(): number | undefined {
    return this.#gone ? undefined : this.#residentBytes;
  }

  get gone(): boolean {
    return this.#gone || this.#reason !== undefined;
  }

  load(slot: number, model: Uint8Array): Promise<Loaded> {
    if (this.gone) return Promise.resolve('gone');
    const seq = this.#nextSeq();
    return new Promise((settle) => {
      this.#ask({ kind: 'load', seq, settle }, encodeLoad({ seq, slot }, model));
    });
  }

  /** `settle` is not called when the executor dies first: the slot knows what it sent. */
  run(message: Omit<RunMessage, 'seq'>, outputs: number, settle: (result: ResultMessage) => void): void {
    if (this.gone) return;
    const seq = this.#nextSeq();
    const bodyBytes = message.maxOutputBytes + outputs * aligned(1);
    this.#ask({ kind: 'run', seq, bodyBytes, settle }, encodeRun({ ...message, seq }));
  }

  unload(slot: number): void {
    if (!this.gone) this.#write(encodeUnload(slot));
  }

  /** The first reason counts. */
  kill(reason: EndReason): void {
    if (this.gone) return;
    this.#reason = reason;
    this.#child.kill('SIGKILL');
  }

  #nextSeq(): number {
    this.#seq = (this.#seq + 1) >>> 0;
    return this.#seq;
  }

  #ask(pending: Pending, pieces: readonly Uint8Array[]): void {
    this.#pending.push(pending);
    this.#startWatch();
    this.#write(pieces);
  }

  #write(pieces: readonly Uint8Array[]): void {
    this.#pipe.cork();
    for (const piece of pieces) this.#pipe.write(piece);
    this.#pipe.uncork();
  }

  #listen(): void {
    const parser = new FrameParser(
      (frame) => this.#onFrame(frame),
      (kind) => {
        const next = this.#pending[0];
        return kind === KIND.result && next?.kind === 'run' ? next.bodyBytes : 0;
      },
    );
    this.#pipe.on('data', (chunk: Buffer) => {
      if (this.#reason === 'garbage') return;
      try {
        parser.push(chunk);
      } catch (fault) {
        // Only what the child sent can raise these: RangeErrors come from Buffer's own bounds.
        if (!(fault instanceof WireFault) && !(fault instanceof RangeError)) throw fault;
        this.kill('garbage');
      }
    });
    // EPIPE and the like: the end of the process says all there is to say.
    this.#pipe.on('error', () => undefined);
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-LIMITS.compute.outputTailBytes);
      });
    }
  }

  #onFrame(frame: Frame): void {
    if (frame.kind === KIND.ready) {
      decodeReady(frame);
      void this.#limitMemory();
      return;
    }
    const next = this.#pending.shift();
    if (frame.kind === KIND.loaded && next?.kind === 'load') {
      const loaded = decodeLoaded(frame);
      if (loaded.seq !== next.seq) throw new WireFault('answer to another question');
      next.settle(loaded.outcome);
    } else if (frame.kind === KIND.result && next?.kind === 'run') {
      const result = decodeResult(frame);
      if (result.seq !== next.seq) throw new WireFault('answer to another question');
      next.settle(result);
    } else {
      throw new WireFault('an answer nobody asked for');
    }
    if (this.#pending.length === 0) this.#stopWatch();
  }

  async #limitMemory(): Promise<void> {
    const outer = this.#child.pid;
    if (outer !== undefined) {
      this.#pid = await innermostPid(outer);
      const memory = await memoryOf(this.#pid);
      this.#startBytes = memory?.residentBytes ?? 0;
      this.#residentBytes = memory?.residentBytes;
      const { memoryBytes, threads, placement } = this.#settings;
      // A GPU driver's private mappings are not memory it uses: there the watchdog alone counts.
      if (memory !== undefined && placement.backend === 'cpu') {
        const perThread = threads * LIMITS.compute.memoryPerThreadBytes;
        await limitData(this.#pid, memory.dataBytes + memoryBytes + perThread);
      }
    }
    this.#greeted(!this.gone);
  }

  #startWatch(): void {
    this.#watch ??= setInterval(() => void this.#checkMemory(), LIMITS.compute.memoryCheckMs).unref();
  }

  #stopWatch(): void {
    clearInterval(this.#watch);
    this.#watch = undefined;
  }

  async #checkMemory(): Promise<void> {
    const memory = this.#pid === undefined ? undefined : await memoryOf(this.#pid);
    if (memory === undefined || this.gone) return;
    this.#residentBytes = memory.residentBytes;
    if (memory.residentBytes > this.#startBytes + this.#settings.memoryBytes) this.kill('memory');
  }

  async #untilEnd(folder: string): Promise<ExecutorEnd> {
    const child = this.#child;
    const { code, signal } = await new Promise<Pick<ExecutorEnd, 'code' | 'signal'>>((resolve) => {
      child.once('error', () => {
        // Never started: there is no exit to wait for.
        if (child.pid === undefined) resolve({ code: null, signal: null });
      });
      // 'close', not 'exit': in a jail the worker's end of the pipe closes after the waiter's exit, and results may still be in it.
      child.once('close', (code, signal) => resolve({ code, signal }));
    });
    this.#gone = true;
    this.#stopWatch();
    this.#greeted(false);
    for (const pending of this.#pending.splice(0)) if (pending.kind === 'load') pending.settle('gone');
    await rm(folder, { recursive: true, force: true });
    const reason = this.#reason ?? (outOfMemory(this.#output) ? 'memory' : 'crash');
    return { reason, code, signal, output: this.#output };
  }
}

/** V8 and the C++ runtime say so before they abort; the exit status alone does not tell. */
function outOfMemory(output: string): boolean {
  return /out of memory|bad_alloc|cannot allocate memory/iu.test(output);
}
