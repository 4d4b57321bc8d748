import { CONTENT_PROTOCOL, encodeResponse } from '#shared/protocol/content/messages.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import type { PeerIdText } from '#shared/units.ts';
import type { Conversation, Network, ProtocolHandler } from '../../network/port.ts';
import type { ContentStore } from '../disk/store.ts';
import { stopped } from '../errors.ts';
import { answers, fault, nextRequest } from './answers.ts';
import type { Answer } from './answers.ts';

/**
 * Gives content to whoever knows its name, a bounded number of conversations at a time. Requests of one are answered one
 * after the other; a slow reader holds three leaves of memory, and its own requests wait in the stream's window.
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
      await (busy ? this.#turnAway(conversation) : this.#serve(conversation));
    } finally {
      this.#conversations.delete(conversation);
      const left = (this.#streams.get(peer) ?? 1) - 1;
      if (left === 0) this.#streams.delete(peer);
      else this.#streams.set(peer, left);
    }
  }

  async #turnAway(conversation: Conversation): Promise<void> {
    const request = await nextRequest(conversation, LIMITS.content.answerTimeoutMs, () => this.#breach(conversation));
    if (request !== undefined) await put(conversation, fault(request.id, 'content.busy', 'too many conversations'));
    await conversation.close();
  }

  async #serve(conversation: Conversation): Promise<void> {
    const prepared = answers(conversation, this.#store, () => this.#breach(conversation));
    let next = prepared.next();
    for (;;) {
      const answer = await next;
      if (answer.done === true) break;
      // The one after it is read from the disk meanwhile.
      next = prepared.next();
      // A failure to send ends it: the network has already ended the stream, and so the preparing.
      if (!(await put(conversation, answer.value))) {
        await next;
        await prepared.return();
        return;
      }
    }
    await conversation.close();
  }

  #breach(conversation: Conversation): void {
    this.#network.report(conversation.remotePeer, 'invalid_message');
  }
}

async function put(conversation: Conversation, { response, body }: Answer): Promise<boolean> {
  const sent = await conversation.send({ kind: 'control', body: encodeResponse(response) });
  if (!sent.ok || body === undefined) return sent.ok;
  return (await conversation.send({ kind: 'data', body })).ok;
}
