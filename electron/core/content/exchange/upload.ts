import { appError } from '#shared/errors.ts';
import { leafCount, leafSize } from '#shared/protocol/content/manifest.ts';
import { CONTENT_PROTOCOL, decodeRequest, encodeResponse } from '#shared/protocol/content/messages.ts';
import type { ContentRequest, ContentResponse, FaultCode } from '#shared/protocol/content/messages.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import type { PeerIdText } from '#shared/units.ts';
import type { Conversation, Network, OutgoingFrame, ProtocolHandler } from '../../network/port.ts';
import type { ContentStore } from '../disk/store.ts';
import type { OpenEntry } from '../disk/open-entry.ts';
import { stopped } from '../errors.ts';

type LeavesRequest = Extract<ContentRequest, { kind: 'leaves' }>;

/**
 * Two buffers in turn for the leaves of one conversation. A frame's bytes are taken by the time that a later send has
 * resolved, so a leaf's buffer is free when the leaf after it has been sent. A new one for each leaf would cost more in
 * garbage collection than all else that an upload does.
 */
class LeafBuffers {
  #free = Buffer.alloc(0);
  #used = Buffer.alloc(0);

  next(sizeBytes: number): Uint8Array {
    const buffer = this.#free.byteLength < sizeBytes ? Buffer.allocUnsafeSlow(sizeBytes) : this.#free;
    this.#free = this.#used;
    this.#used = buffer;
    return buffer.subarray(0, sizeBytes);
  }
}

/**
 * Gives content to whoever knows its name. Requests of one conversation are answered one after the other, each leaf
 * read, verified and sent before the next: a slow reader holds two leaves of memory, and its own requests wait in the
 * stream's window.
 */
export class Uploads {
  readonly handler: ProtocolHandler;
  readonly #network: Network;
  readonly #store: ContentStore;
  readonly #streams = new Map<PeerIdText, number>();
  readonly #conversations = new Set<Conversation>();
  readonly #running = new Set<Promise<void>>();
  #stopped = false;

  constructor(network: Network, store: ContentStore) {
    this.#network = network;
    this.#store = store;
    this.handler = {
      protocol: CONTENT_PROTOCOL,
      // One more than is served, so that the one too many is told so.
      maxInboundStreams: LIMITS.content.uploadStreamsPerPeer + 1,
      // Relays carry control messages; content through them would be paid for by whoever runs them.
      allowRelayed: false,
      handle: (conversation) => {
        const running = this.#handle(conversation).finally(() => this.#running.delete(running));
        this.#running.add(running);
        return running;
      },
    };
  }

  /** Ends every conversation and waits until none uses the store. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const conversation of this.#conversations) conversation.abort(stopped());
    await Promise.allSettled(this.#running);
  }

  async #handle(conversation: Conversation): Promise<void> {
    const peer = conversation.remotePeer;
    if (this.#stopped) {
      conversation.abort(stopped());
      return;
    }
    const streams = (this.#streams.get(peer) ?? 0) + 1;
    const busy =
      streams > LIMITS.content.uploadStreamsPerPeer || this.#conversations.size >= LIMITS.content.uploadStreams;
    this.#streams.set(peer, streams);
    this.#conversations.add(conversation);
    try {
      await this.#serve(conversation, busy);
    } finally {
      this.#conversations.delete(conversation);
      const left = (this.#streams.get(peer) ?? 1) - 1;
      if (left === 0) this.#streams.delete(peer);
      else this.#streams.set(peer, left);
    }
  }

  async #serve(conversation: Conversation, busy: boolean): Promise<void> {
    const buffers = new LeafBuffers();
    for (;;) {
      const timeoutMs = busy ? LIMITS.content.answerTimeoutMs : LIMITS.content.idleTimeoutMs;
      const received = await conversation.receive({ timeoutMs });
      if (!received.ok) {
        conversation.abort(received.error);
        return;
      }
      if (received.value === undefined) break;
      const request = received.value.kind === 'control' ? decodeRequest(received.value.body) : undefined;
      if (request?.ok !== true) {
        this.#network.report(conversation.remotePeer, 'invalid_message');
        conversation.abort(appError('content.message_invalid', 'The peer sent something that is no request.'));
        return;
      }
      if (busy) {
        await this.#fault(conversation, request.value.id, 'content.busy', 'too many conversations');
        break;
      }
      // A failure to send ends it: the network has already ended the stream.
      if (!(await this.#answer(conversation, buffers, request.value))) return;
    }
    await conversation.close();
  }

  async #answer(conversation: Conversation, buffers: LeafBuffers, request: ContentRequest): Promise<boolean> {
    const { id, cid } = request;
    const lease = await this.#store.lease(cid);
    if (!lease.ok) {
      const code = lease.error.code === 'content.not_found' ? 'content.not_found' : 'content.unavailable';
      return this.#fault(conversation, id, code, 'not here');
    }
    try {
      const { entry } = lease.value;
      return request.kind === 'describe'
        ? await this.#describe(conversation, id, entry, request.manifest)
        : await this.#leaves(conversation, buffers, entry, request);
    } finally {
      lease.value.release();
    }
  }

  async #describe(conversation: Conversation, id: number, entry: OpenEntry, manifest: boolean): Promise<boolean> {
    const described = await this.#send(conversation, {
      kind: 'description',
      id,
      manifestBytes: manifest ? entry.manifestBytes.byteLength : 0,
      have: entry.complete ? new Uint8Array() : entry.have.bytes,
    });
    return described && (!manifest || this.#data(conversation, entry.manifestBytes));
  }

  async #leaves(
    conversation: Conversation,
    buffers: LeafBuffers,
    entry: OpenEntry,
    { id, first, count }: LeavesRequest,
  ): Promise<boolean> {
    if (first + count > leafCount(entry.manifest)) {
      return this.#fault(conversation, id, 'content.request_invalid', 'no such leaf');
    }
    for (let index = first; index < first + count; index += 1) {
      const leaf = await entry.readLeafForPeer(index, buffers.next(leafSize(entry.manifest, index)));
      if (!leaf.ok) {
        const code = leaf.error.code === 'content.not_found' ? 'content.not_found' : 'content.unavailable';
        return this.#fault(conversation, id, code, `leaf ${index} cannot be read`);
      }
      const sent =
        (await this.#send(conversation, { kind: 'leaf', id, index })) && (await this.#data(conversation, leaf.value));
      if (!sent) return false;
    }
    return true;
  }

  #fault(conversation: Conversation, id: number, code: FaultCode, message: string): Promise<boolean> {
    return this.#send(conversation, { kind: 'fault', id, code, message });
  }

  #send(conversation: Conversation, response: ContentResponse): Promise<boolean> {
    return put(conversation, { kind: 'control', body: encodeResponse(response) });
  }

  #data(conversation: Conversation, body: Uint8Array): Promise<boolean> {
    return put(conversation, { kind: 'data', body });
  }
}

async function put(conversation: Conversation, frame: OutgoingFrame): Promise<boolean> {
  const sent = await conversation.send(frame);
  return sent.ok;
}
