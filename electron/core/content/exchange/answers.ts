import { appError } from '#shared/errors.ts';
import { leafCount, leafSize } from '#shared/protocol/content/manifest.ts';
import { decodeRequest } from '#shared/protocol/content/messages.ts';
import type { ContentRequest, ContentResponse, FaultCode } from '#shared/protocol/content/messages.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import type { Conversation } from '../../network/port.ts';
import type { OpenEntry } from '../disk/open-entry.ts';
import type { ContentStore } from '../disk/store.ts';
import type { ContentError } from '../port.ts';

/** One answer: a control frame, and a data frame behind it where there is a body. */
export interface Answer {
  readonly response: ContentResponse;
  readonly body?: Uint8Array;
}

type LeavesRequest = Extract<ContentRequest, { kind: 'leaves' }>;

/**
 * Three buffers in turn for the leaves of one conversation: the stream may hold one until the send after it has
 * resolved, one is being sent, one is being read. A new one for each leaf would cost more in garbage collection than
 * all else that an upload does.
 */
class LeafBuffers {
  readonly #ring: Uint8Array[] = [new Uint8Array(), new Uint8Array(), new Uint8Array()];

  next(sizeBytes: number): Uint8Array {
    const oldest = this.#ring.shift();
    const buffer = oldest !== undefined && oldest.byteLength >= sizeBytes ? oldest : Buffer.allocUnsafeSlow(sizeBytes);
    this.#ring.push(buffer);
    return buffer.subarray(0, sizeBytes);
  }
}

/**
 * The answers to all that the peer asks in a conversation, in order. Each is prepared when it is asked for, so one may
 * be read from the disk while the one before it is sent, but not more. Ends where the peer ends or breaks the
 * conversation; `onBreach` is told of nonsense.
 */
export async function* answers(
  conversation: Conversation,
  store: ContentStore,
  onBreach: () => void,
): AsyncGenerator<Answer, void, void> {
  const buffers = new LeafBuffers();
  for (;;) {
    const request = await nextRequest(conversation, LIMITS.content.idleTimeoutMs, onBreach);
    if (request === undefined) return;
    const lease = await store.lease(request.cid);
    if (!lease.ok) {
      yield fault(request.id, codeOf(lease.error), 'not here');
      continue;
    }
    try {
      const { entry } = lease.value;
      if (request.kind === 'describe') yield description(entry, request.id, request.manifest);
      else yield* leaves(entry, request, buffers);
    } finally {
      lease.value.release();
    }
  }
}

/** Undefined where there is none: a clean end, silence, a broken stream, or nonsense. */
export async function nextRequest(
  conversation: Conversation,
  timeoutMs: number,
  onBreach: () => void,
): Promise<ContentRequest | undefined> {
  const received = await conversation.receive({ timeoutMs });
  if (!received.ok) {
    conversation.abort(received.error);
    return undefined;
  }
  if (received.value === undefined) return undefined;
  const request = received.value.kind === 'control' ? decodeRequest(received.value.body) : undefined;
  if (request?.ok === true) return request.value;
  onBreach();
  conversation.abort(appError('content.message_invalid', 'The peer sent something that is no request.'));
  return undefined;
}

export function fault(id: number, code: FaultCode, message: string): Answer {
  return { response: { kind: 'fault', id, code, message } };
}

function description(entry: OpenEntry, id: number, manifest: boolean): Answer {
  const body = entry.manifestBytes;
  const have = entry.complete ? new Uint8Array() : entry.have.bytes;
  const manifestBytes = manifest ? body.byteLength : 0;
  return { response: { kind: 'description', id, manifestBytes, have }, ...(manifest ? { body } : {}) };
}

async function* leaves(
  entry: OpenEntry,
  { id, first, count }: LeavesRequest,
  buffers: LeafBuffers,
): AsyncGenerator<Answer, void, void> {
  if (first + count > leafCount(entry.manifest)) {
    yield fault(id, 'content.request_invalid', 'no such leaf');
    return;
  }
  for (let index = first; index < first + count; index += 1) {
    const leaf = await entry.readLeafForPeer(index, buffers.next(leafSize(entry.manifest, index)));
    if (!leaf.ok) {
      yield fault(id, codeOf(leaf.error), `leaf ${index} cannot be read`);
      return;
    }
    yield { response: { kind: 'leaf', id, index }, body: leaf.value };
  }
}

function codeOf(error: ContentError): FaultCode {
  return error.code === 'content.not_found' ? 'content.not_found' : 'content.unavailable';
}
