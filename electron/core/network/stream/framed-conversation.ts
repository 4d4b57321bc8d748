import type { Stream, StreamCloseEvent, StreamMessageEvent } from '@libp2p/interface';
import type { Uint8ArrayList } from 'uint8arraylist';
import { CodedFault } from '#shared/errors.ts';
import type { AppError } from '#shared/errors.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import { err, ok } from '#shared/result.ts';
import type { Result } from '#shared/result.ts';
import type { PeerIdText } from '#shared/units.ts';
import { closedByRemote, closedHere, endedBecause, frameInvalid, timedOut } from '../errors.ts';
import type { Conversation, Frame, Misdeed, NetworkError, OutgoingFrame } from '../port.ts';
import { encodeCredit, FrameParser } from './frames.ts';
import type { FrameKind } from './frames.ts';
import { Inbox } from './inbox.ts';
import { Outbox } from './outbox.ts';
import type { WindowBudget } from './window-budget.ts';

export interface ConversationOptions {
  readonly stream: Stream;
  readonly remotePeer: PeerIdText;
  readonly protocol: string;
  /** Told when the peer breaks the framing; the stream is aborted already. */
  readonly onBreach?: (misdeed: Misdeed, breach: NetworkError) => void;
  readonly budget?: WindowBudget;
}

/**
 * Frames over a libp2p 3 stream. It never pauses the stream: how much may arrive is governed by credits of our
 * own, because WebRTC streams have no read back-pressure and relays queue without bound, and because yamux loses
 * a pause() inside a message handler.
 */
export class FramedConversation implements Conversation {
  readonly remotePeer: PeerIdText;
  readonly protocol: string;
  readonly #stream: Stream;
  readonly #onBreach: ConversationOptions['onBreach'];
  readonly #parser: FrameParser;
  readonly #inbox: Inbox;
  readonly #outbox: Outbox;
  #frameStartedAt: number | undefined;
  #remoteEnded = false;
  #over = false;
  #heardMs = 0;

  constructor(options: ConversationOptions) {
    this.remotePeer = options.remotePeer;
    this.protocol = options.protocol;
    this.#stream = options.stream;
    this.#onBreach = options.onBreach;
    this.#inbox = new Inbox({
      budget: options.budget,
      grant: (bytes) => void this.#write(encodeCredit(bytes)),
      onSilence: (timeoutMs) => this.#fail(timedOut('Waiting for the peer to say something', timeoutMs)),
    });
    this.#outbox = new Outbox({
      pipe: { ready: () => !this.#stream.writableNeedsDrain, write: (bytes) => this.#write(bytes) },
      onStall: (timeoutMs) => this.#fail(timedOut('Waiting for the peer to take what was sent', timeoutMs)),
    });
    this.#parser = new FrameParser({
      admit: (kind, bodyBytes) => (kind === 'credit' ? undefined : this.#inbox.admit(bodyBytes)),
      frame: (kind, body) => this.#onFrame(kind, body),
    });
    this.#listen();
  }

  /** When bytes last arrived, by performance.now(). */
  get heardMs(): number {
    return this.#heardMs;
  }

  // Async by contract; the usual case answers without waiting for anything.
  async send(frame: OutgoingFrame, signal?: AbortSignal): Promise<Result<void, NetworkError>> {
    return this.#outbox.send(frame, signal);
  }

  async receive(options: {
    readonly timeoutMs: number;
    readonly signal?: AbortSignal;
  }): Promise<Result<Frame | undefined, NetworkError>> {
    return this.#inbox.take(options.timeoutMs, options.signal);
  }

  async close(): Promise<void> {
    if (this.#over) return;
    await this.#outbox.drained();
    if (this.#over) return;
    this.#over = true;
    this.#outbox.fail(closedHere());
    this.#inbox.discard(err(closedHere()));
    const { lingerMs } = LIMITS.conversation;
    // libp2p's close() waits for the peer without end, and so does a half-closed stream.
    const linger = setTimeout(() => this.#stream.abort(new Error('the peer did not close its side')), lingerMs);
    this.#stream.addEventListener('close', () => clearTimeout(linger), { once: true });
    try {
      await this.#stream.close({ signal: AbortSignal.timeout(lingerMs) });
    } catch (cause) {
      this.#stream.abort(cause instanceof Error ? cause : new Error('close failed', { cause }));
    }
  }

  abort(reason: AppError): void {
    this.#fail(endedBecause(reason));
  }

  #listen(): void {
    const stream = this.#stream;
    stream.addEventListener('message', (event: StreamMessageEvent) => this.#onBytes(event.data));
    stream.addEventListener('drain', () => {
      // libp2p writes what it had queued in a microtask after this event; only then is its readiness true.
      queueMicrotask(() => this.#outbox.advance());
    });
    stream.addEventListener('remoteCloseWrite', () => {
      this.#remoteEnded = true;
    });
    // A muxer may deliver the end before the data of the same frame, hence the microtask.
    stream.addEventListener('end', () => queueMicrotask(() => this.#onEnd()));
    stream.addEventListener('close', (event: StreamCloseEvent) => this.#onClose(event.error));
    this.#remoteEnded = stream.remoteWriteStatus === 'closed';
    if (stream.readableEnded) this.#onEnd();
    // After the microtask in which libp2p hands over what it had buffered.
    else if (stream.status !== 'open') queueMicrotask(() => this.#onClose(undefined));
  }

  #onBytes(data: Uint8Array | Uint8ArrayList): void {
    this.#heardMs = performance.now();
    this.#inbox.stir();
    const chunks = data instanceof Uint8Array ? [data] : data;
    for (const chunk of chunks) {
      if (this.#over) return;
      const breach = this.#parser.push(chunk);
      if (breach !== undefined) {
        this.#breach(breach);
        return;
      }
    }
    this.#watchFrame();
  }

  /** A frame dripped byte by byte resets every silence; it has a deadline as a whole. */
  #watchFrame(): void {
    if (!this.#parser.midFrame) {
      this.#frameStartedAt = undefined;
      return;
    }
    this.#frameStartedAt ??= this.#heardMs;
    const { frameMs } = LIMITS.conversation;
    if (this.#heardMs - this.#frameStartedAt > frameMs) this.#fail(timedOut('Receiving one frame', frameMs));
  }

  #onFrame(kind: FrameKind, body: Uint8Array): NetworkError | undefined {
    this.#frameStartedAt = undefined;
    if (kind === 'credit') return this.#outbox.credit(new DataView(body.buffer).getUint32(0));
    this.#inbox.push({ kind, body });
    return undefined;
  }

  #onEnd(): void {
    if (this.#over) return;
    if (!this.#parser.midFrame) this.#inbox.finish(ok(undefined));
    else this.#breach(frameInvalid('the stream ended in the middle of a frame'));
  }

  #onClose(error: Error | undefined): void {
    if (this.#over) return;
    this.#over = true;
    const failure = closedByRemote(error === undefined ? 'the connection closed' : 'the stream was reset');
    this.#outbox.fail(failure);
    this.#inbox.finish(this.#remoteEnded && !this.#parser.midFrame ? ok(undefined) : err(failure));
  }

  #breach(breach: NetworkError): void {
    this.#fail(breach);
    this.#onBreach?.(breach.code === 'network.too_many' ? 'too_much' : 'invalid_message', breach);
  }

  #fail(failure: NetworkError): NetworkError {
    if (this.#over) return failure;
    this.#over = true;
    this.#outbox.fail(failure);
    this.#inbox.discard(err(failure));
    this.#stream.abort(new CodedFault(failure));
    return failure;
  }

  #write(bytes: Uint8Array | Uint8ArrayList): NetworkError | undefined {
    try {
      this.#stream.send(bytes);
      return undefined;
    } catch {
      // The only reason to throw is that the stream no longer takes bytes.
      return this.#over ? closedHere() : this.#fail(closedByRemote('it no longer takes bytes'));
    }
  }
}
