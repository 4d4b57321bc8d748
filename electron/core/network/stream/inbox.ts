import { LIMITS } from '#shared/protocol/limits.ts';
import { err, ok } from '#shared/result.ts';
import type { Result } from '#shared/result.ts';
import { cancelled, windowExceeded } from '../errors.ts';
import type { Frame, NetworkError } from '../port.ts';
import { frameCost } from './frames.ts';
import type { WindowBudget } from './window-budget.ts';

type Received = Result<Frame | undefined, NetworkError>;

interface Waiter {
  readonly settle: (received: Received) => void;
  readonly silence: NodeJS.Timeout;
}

export interface InboxOptions {
  readonly budget: WindowBudget | undefined;
  /** Sends a credit frame for that many bytes to the peer. */
  readonly grant: (bytes: number) => void;
  /** The peer was silent for the whole time a reader waited. */
  readonly onSilence: (timeoutMs: number) => NetworkError;
}

/**
 * Frames that arrived and were not read yet. The peer may have at most one window of them under way or waiting
 * here; it is granted more as they are read. The window starts small and doubles while the reader keeps up and
 * the node's shared budget lasts, so that many idle or hostile streams cannot fill the memory.
 */
export class Inbox {
  readonly #options: InboxOptions;
  #frames: Frame[] = [];
  #head = 0;
  #windowBytes: number = LIMITS.conversation.initialWindowBytes;
  /** What the peer may still send. */
  #allowedBytes: number = LIMITS.conversation.initialWindowBytes;
  /** Read, and not yet granted again. */
  #consumedBytes = 0;
  #end: Received | undefined;
  #waiter: Waiter | undefined;

  constructor(options: InboxOptions) {
    this.#options = options;
  }

  admit(bodyBytes: number): NetworkError | undefined {
    const cost = frameCost(bodyBytes);
    if (cost > this.#allowedBytes) return windowExceeded(cost, this.#allowedBytes);
    this.#allowedBytes -= cost;
    return undefined;
  }

  push(frame: Frame): void {
    const waiter = this.#waiter;
    if (waiter === undefined) {
      this.#frames.push(frame);
      return;
    }
    this.#consume(frame);
    this.#release(waiter, ok(frame));
  }

  /** Any bytes arrived: the silence starts anew. */
  stir(): void {
    this.#waiter?.silence.refresh();
  }

  /** No more frames will come. Those already here are still read before `last` is answered, for ever. */
  finish(last: Received): void {
    if (this.#end !== undefined) return;
    this.#end = last;
    this.#options.budget?.giveBack(this.#windowBytes - LIMITS.conversation.initialWindowBytes);
    if (this.#waiter !== undefined) this.#release(this.#waiter, last);
  }

  /** As finish, and drops what was not read. */
  discard(last: Received): void {
    this.#frames = [];
    this.#head = 0;
    this.finish(last);
    this.#end = last;
  }

  take(timeoutMs: number, signal: AbortSignal | undefined): Promise<Received> | Received {
    const frame = this.#shift();
    if (frame !== undefined) {
      this.#consume(frame);
      return ok(frame);
    }
    if (this.#end !== undefined) return this.#end;
    if (signal?.aborted === true) return err(cancelled('Waiting for a frame'));
    if (this.#waiter !== undefined) throw new Error('receive() was called while another receive() waits');
    return this.#wait(timeoutMs, signal);
  }

  #wait(timeoutMs: number, signal: AbortSignal | undefined): Promise<Received> {
    return new Promise((resolve) => {
      const onAbort = (): void => this.#release(waiter, err(cancelled('Waiting for a frame')));
      const waiter: Waiter = {
        silence: setTimeout(() => this.#release(waiter, err(this.#options.onSilence(timeoutMs))), timeoutMs),
        settle: (received) => {
          signal?.removeEventListener('abort', onAbort);
          resolve(received);
        },
      };
      this.#waiter = waiter;
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  #release(waiter: Waiter, received: Received): void {
    if (this.#waiter !== waiter) return;
    this.#waiter = undefined;
    clearTimeout(waiter.silence);
    waiter.settle(received);
  }

  #shift(): Frame | undefined {
    const frame = this.#frames[this.#head];
    if (frame === undefined) return undefined;
    this.#head += 1;
    if (this.#head === this.#frames.length) {
      this.#frames = [];
      this.#head = 0;
    }
    return frame;
  }

  #consume(frame: Frame): void {
    this.#consumedBytes += frameCost(frame.body.byteLength);
    if (this.#consumedBytes < this.#windowBytes / 4 || this.#end !== undefined) return;
    let grant = this.#consumedBytes;
    this.#consumedBytes = 0;
    const keepsUp = this.#frames.length === 0;
    const canDouble = this.#windowBytes * 2 <= LIMITS.conversation.maxWindowBytes;
    if (keepsUp && canDouble && this.#options.budget?.take(this.#windowBytes) === true) {
      grant += this.#windowBytes;
      this.#windowBytes *= 2;
    }
    this.#allowedBytes += grant;
    this.#options.grant(grant);
  }
}
