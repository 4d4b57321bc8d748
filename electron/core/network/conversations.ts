import type { Connection, Stream } from '@libp2p/interface';
import type { Logger } from '#core/obs/logger.ts';
import { appError } from '#shared/errors.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import { peerIdText } from '#shared/units.ts';
import type { PeerIdText } from '#shared/units.ts';
import type { Node } from './node/libp2p-node.ts';
import type { Misdeed, ProtocolHandler } from './port.ts';
import { spokenBy } from './protocol-id.ts';
import { FramedConversation } from './stream/framed-conversation.ts';
import { WindowBudget } from './stream/window-budget.ts';

export interface ConversationsOptions {
  readonly node: Node;
  readonly report: (peer: PeerIdText, misdeed: Misdeed) => void;
  readonly log: Logger;
}

/** Every conversation of this node, those it opened and those it serves, under one memory budget. */
export class Conversations {
  readonly #options: ConversationsOptions;
  readonly #budget = new WindowBudget(LIMITS.conversation.windowBudgetBytes);
  readonly #open = new Map<Connection, Set<FramedConversation>>();
  #inboundCount = 0;

  constructor(options: ConversationsOptions) {
    this.#options = options;
  }

  async serve(handler: ProtocolHandler): Promise<void> {
    for (const protocol of spokenBy(handler.protocol)) {
      await this.#options.node.handle(protocol, (stream, connection) => this.#onStream(handler, stream, connection), {
        maxInboundStreams: handler.maxInboundStreams,
        maxOutboundStreams: LIMITS.network.streamsPerConnection,
        runOnLimitedConnection: handler.allowRelayed,
      });
    }
  }

  wrap(stream: Stream, connection: Connection): FramedConversation {
    const remotePeer = peerIdText(connection.remotePeer.toString());
    const conversation = new FramedConversation({
      stream,
      remotePeer,
      protocol: stream.protocol,
      budget: this.#budget,
      onBreach: (misdeed, breach) => {
        this.#options.log.debug({ peer: remotePeer, protocol: stream.protocol, breach }, 'a peer broke the framing');
        this.#options.report(remotePeer, misdeed);
      },
    });
    const siblings = this.#open.get(connection) ?? new Set<FramedConversation>();
    siblings.add(conversation);
    this.#open.set(connection, siblings);
    const forget = (): void => {
      siblings.delete(conversation);
      if (siblings.size === 0 && this.#open.get(connection) === siblings) this.#open.delete(connection);
    };
    stream.addEventListener('close', forget, { once: true });
    return conversation;
  }

  heardSince(connection: Connection, sinceMs: number): boolean {
    return [...(this.#open.get(connection) ?? [])].some((conversation) => conversation.heardMs >= sinceMs);
  }

  abortAll(): void {
    const reason = appError('network.stopped', 'This node is stopping.');
    for (const siblings of this.#open.values()) for (const conversation of siblings) conversation.abort(reason);
  }

  #onStream(handler: ProtocolHandler, stream: Stream, connection: Connection): void {
    if (this.#inboundCount >= LIMITS.conversation.inboundCount) {
      this.#options.log.warn({ peer: connection.remotePeer.toString() }, 'refused a conversation: too many are open');
      stream.abort(new Error('too many conversations'));
      return;
    }
    this.#inboundCount += 1;
    stream.addEventListener('close', () => (this.#inboundCount -= 1), { once: true });
    void this.#handle(handler, this.wrap(stream, connection));
  }

  async #handle(handler: ProtocolHandler, conversation: FramedConversation): Promise<void> {
    try {
      await handler.handle(conversation);
      await conversation.close();
    } catch (fault) {
      const where = { protocol: handler.protocol, peer: conversation.remotePeer };
      this.#options.log.error(
        { ...where, fault: fault instanceof Error ? fault.stack : String(fault) },
        'handler failed',
      );
      conversation.abort(appError('network.stream_closed', 'The handler of this protocol failed.'));
    }
  }
}
