import type { Conversation, NetworkError } from '#core/network/port.ts';
import { appError, type AppError } from '#shared/errors.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import {
  decodeWorkMessage,
  encodeWorkMessage,
  type TensorLayout,
  type WorkMessage,
} from '#shared/protocol/work-messages.ts';
import { err, ok, type Result } from '#shared/result.ts';
import type { PeerIdText } from '#shared/units.ts';
import { framesOf, PayloadReader } from './payload.ts';

export type LinkError = NetworkError | AppError<'work.message_invalid' | 'work.flooded'>;

interface Outgoing {
  readonly message: WorkMessage;
  readonly payload: readonly Uint8Array[];
}

/**
 * One work conversation as messages with payloads. Sending never waits, so that a reader is never held up by a writer
 * and two sides that both have much to say cannot block each other; the queue is bounded instead.
 */
export class WorkLink {
  readonly peer: PeerIdText;
  private readonly conversation: Conversation;
  private readonly queue: Outgoing[] = [];
  private pumping: Promise<void> | undefined;
  private failure: LinkError | undefined;

  constructor(conversation: Conversation) {
    this.conversation = conversation;
    this.peer = conversation.remotePeer;
  }

  /** Queues a message and, behind it, its payload. After a failure it does nothing: `next` answers the failure. */
  send(message: WorkMessage, payload: readonly Uint8Array[] = []): void {
    if (this.failure !== undefined) return;
    if (this.queue.length >= LIMITS.work.outboxMessages) {
      this.abort(appError('work.flooded', 'The other side asks faster than it listens.'));
      return;
    }
    this.queue.push({ message, payload });
    this.pumping ??= this.pump();
  }

  /** Next message; undefined at a clean end. */
  async next(timeoutMs: number, signal?: AbortSignal): Promise<Result<WorkMessage | undefined, LinkError>> {
    const received = await this.conversation.receive({ timeoutMs, ...(signal === undefined ? {} : { signal }) });
    if (!received.ok) return err(this.failure ?? received.error);
    const frame = received.value;
    if (frame === undefined) return ok(undefined);
    if (frame.kind !== 'control') return err(invalid('tensor bytes that were not announced'));
    return decodeWorkMessage(frame.body);
  }

  /** The payload that follows a message: one entry per layout, one part per tensor. */
  async payload(layouts: readonly TensorLayout[]): Promise<Result<readonly (readonly Uint8Array[])[], LinkError>> {
    const reader = new PayloadReader(layouts);
    while (!reader.complete) {
      const received = await this.conversation.receive({ timeoutMs: LIMITS.work.silenceMs });
      if (!received.ok) return err(this.failure ?? received.error);
      const frame = received.value;
      if (frame?.kind !== 'data' || frame.body.byteLength === 0)
        return err(invalid('an announced payload that is not there'));
      if (!reader.take(frame.body)) return err(invalid('more tensor bytes than announced'));
    }
    return ok(reader.parts());
  }

  /** Sends what is queued, then ends the conversation. */
  async close(): Promise<void> {
    await this.pumping;
    await this.conversation.close();
  }

  abort(reason: LinkError | AppError): void {
    this.failure ??= reason as LinkError;
    this.queue.length = 0;
    this.conversation.abort(reason);
  }

  private async pump(): Promise<void> {
    for (let next = this.queue.shift(); next !== undefined; next = this.queue.shift()) {
      const sent = await this.write(next);
      if (!sent.ok) {
        this.failure ??= sent.error;
        this.queue.length = 0;
        break;
      }
    }
    this.pumping = undefined;
  }

  private async write({ message, payload }: Outgoing): Promise<Result<void, NetworkError>> {
    const control = await this.conversation.send({ kind: 'control', body: encodeWorkMessage(message) });
    if (!control.ok) return control;
    for (const body of framesOf(payload)) {
      const sent = await this.conversation.send({ kind: 'data', body });
      if (!sent.ok) return sent;
    }
    return ok();
  }
}

function invalid(what: string): LinkError {
  return appError('work.message_invalid', `The other side sent ${what}.`);
}
