import type { Uint8ArrayList } from 'uint8arraylist';
import { LIMITS } from '#shared/protocol/limits.ts';
import { err, ok } from '#shared/result.ts';
import type { Result } from '#shared/result.ts';
import { cancelled, frameInvalid, frameTooLarge } from '../errors.ts';
import type { Frame, NetworkError } from '../port.ts';
import { BODY_LIMIT_BYTES, encodeFrame, frameCost } from './frames.ts';

type Sent = Result<void, NetworkError>;

interface Pending {
  readonly frame: Frame;
  readonly costBytes: number;
  readonly settle: (sent: Sent) => void;
}

export interface Pipe {
  /** False while the transport wants no more bytes. */
  ready(): boolean;
  /** Hands bytes to the transport; answers a failure where it is closed. */
  write(bytes: Uint8Array | Uint8ArrayList): NetworkError | undefined;
}

export interface OutboxOptions {
  readonly pipe: Pipe;
  /** Frames waited this long without the peer or the transport taking any. */
  readonly onStall: (timeoutMs: number) => void;
}

/** Frames on their way out, in order: written at once while the peer's window and the transport allow, else they wait. */
export class Outbox {
  readonly #options: OutboxOptions;
  readonly #waiting: Pending[] = [];
  #creditBytes: number = LIMITS.conversation.initialWindowBytes;
  #stall: NodeJS.Timeout | undefined;
  #failure: NetworkError | undefined;
  #onEmpty: (() => void) | undefined;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  send(frame: Frame, signal: AbortSignal | undefined): Promise<Sent> | Sent {
    const limitBytes = BODY_LIMIT_BYTES[frame.kind];
    if (frame.body.byteLength > limitBytes) {
      return err(frameTooLarge(frame.kind, frame.body.byteLength, limitBytes));
    }
    if (this.#failure !== undefined) return err(this.#failure);
    if (signal?.aborted === true) return err(cancelled('Sending a frame'));
    const costBytes = frameCost(frame.body.byteLength);
    if (this.#waiting.length === 0 && this.#free(costBytes)) return this.#write(frame, costBytes);
    return this.#enqueue(frame, costBytes, signal);
  }

  /** The peer lets us send that many bytes more. Answers the breach when it grants more than a window can hold. */
  credit(bytes: number): NetworkError | undefined {
    if (bytes === 0 || this.#creditBytes + bytes > LIMITS.conversation.maxWindowBytes) {
      return frameInvalid(`a credit of ${bytes} bytes on top of ${this.#creditBytes}`);
    }
    this.#creditBytes += bytes;
    this.advance();
    return undefined;
  }

  /** The transport or the peer takes bytes again: writes what waited. */
  advance(): void {
    this.#stall?.refresh();
    for (let next = this.#waiting[0]; next !== undefined && this.#free(next.costBytes); next = this.#waiting[0]) {
      this.#waiting.shift();
      next.settle(this.#write(next.frame, next.costBytes));
    }
    if (this.#waiting.length === 0) this.#emptied();
  }

  /** Resolves when nothing waits any more, written or failed. */
  async drained(): Promise<void> {
    if (this.#waiting.length === 0) return;
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
  }

  fail(failure: NetworkError): void {
    this.#failure ??= failure;
    for (const pending of this.#waiting.splice(0)) pending.settle(err(failure));
    this.#emptied();
  }

  #free(costBytes: number): boolean {
    return costBytes <= this.#creditBytes && this.#options.pipe.ready();
  }

  #write(frame: Frame, costBytes: number): Sent {
    this.#creditBytes -= costBytes;
    const failure = this.#options.pipe.write(encodeFrame(frame.kind, frame.body));
    return failure === undefined ? ok() : err(failure);
  }

  #enqueue(frame: Frame, costBytes: number, signal: AbortSignal | undefined): Promise<Sent> {
    return new Promise((resolve) => {
      const withdraw = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(pending), 1);
        resolve(err(cancelled('Sending a frame')));
        // The next one may be smaller and fit.
        this.advance();
      };
      const pending: Pending = {
        frame,
        costBytes,
        settle: (sent) => {
          signal?.removeEventListener('abort', withdraw);
          resolve(sent);
        },
      };
      signal?.addEventListener('abort', withdraw, { once: true });
      this.#waiting.push(pending);
      const { writeStallMs } = LIMITS.conversation;
      this.#stall ??= setTimeout(() => this.#options.onStall(writeStallMs), writeStallMs);
    });
  }

  #emptied(): void {
    clearTimeout(this.#stall);
    this.#stall = undefined;
    this.#onEmpty?.();
    this.#onEmpty = undefined;
  }
}
