import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import type { PeerIdText } from '#shared/units.ts';
import { peerIdText } from '#shared/units.ts';
import type { Config, Order, Word } from './content-process.ts';

type OrderBody = Order extends infer One ? (One extends Order ? Omit<One, 'id'> : never) : never;

/** The parent's end of a content process. It is killed when the test has ended, if not before. */
export class ContentChild {
  readonly peerId: PeerIdText;
  readonly addresses: readonly string[];
  readonly progress: number[] = [];
  readonly #child: ChildProcess;
  readonly #answers = new Map<number, (value: string | boolean) => void>();
  #onProgress: (doneBytes: number) => void = () => undefined;
  #lastId = 0;

  private constructor(child: ChildProcess, peerId: string, addresses: readonly string[]) {
    this.#child = child;
    this.peerId = peerIdText(peerId);
    this.addresses = addresses;
    child.on('message', (word: Word) => this.#hear(word));
  }

  static async start(config: Config): Promise<ContentChild> {
    const child = fork(path.join(import.meta.dirname, 'content-process.ts'), [JSON.stringify(config)]);
    onTestFinished(() => void child.kill('SIGKILL'));
    const [word] = (await once(child, 'message')) as [Word];
    if (word.say !== 'ready') throw new Error(`expected ready, heard ${word.say}`);
    return new ContentChild(child, word.peerId, word.addresses);
  }

  /** Resolves with the answer; never where the process dies first. */
  order(body: OrderBody): Promise<string | boolean> {
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve) => {
      this.#answers.set(id, resolve);
      this.#child.send({ ...body, id });
    });
  }

  onProgress(listener: (doneBytes: number) => void): void {
    this.#onProgress = listener;
  }

  /** kill -9, and waits until it is gone. */
  async kill(): Promise<void> {
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }

  #hear(word: Word): void {
    if (word.say === 'progress') {
      this.progress.push(word.doneBytes);
      this.#onProgress(word.doneBytes);
    } else if (word.say === 'done') {
      this.#answers.get(word.id)?.(word.value);
      this.#answers.delete(word.id);
    }
  }
}
