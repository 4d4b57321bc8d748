import { FramedConversation } from '#core/network/stream/framed-conversation.ts';
import type { Conversation, Misdeed } from '#core/network/port.ts';
import { peerIdText } from '#shared/units.ts';
import type { PeerIdText } from '#shared/units.ts';
import { memoryStreamPair } from './memory-stream.ts';

export interface ConversationPair {
  /** The side that opened it; its remotePeer is `remoteId`. */
  readonly local: Conversation;
  /** The side that serves it; its remotePeer is `localId`. */
  readonly remote: Conversation;
  /** Misdeeds that either side charged the other with. */
  readonly charged: { readonly peer: PeerIdText; readonly misdeed: Misdeed }[];
}

/** Two ends of one conversation in this process, with the real framing, limits and flow control. */
export function conversationPair(
  options: { readonly protocol?: string; readonly localId?: PeerIdText; readonly remoteId?: PeerIdText } = {},
): ConversationPair {
  const protocol = options.protocol ?? '/hearth/test/1.0';
  const localId = options.localId ?? peerIdText('16Uiu2HAmLocal');
  const remoteId = options.remoteId ?? peerIdText('16Uiu2HAmRemote');
  const charged: { peer: PeerIdText; misdeed: Misdeed }[] = [];
  const [outbound, inbound] = memoryStreamPair(protocol);
  const end = (stream: typeof outbound, remotePeer: PeerIdText): Conversation =>
    new FramedConversation({
      stream,
      remotePeer,
      protocol,
      onBreach: (misdeed) => charged.push({ peer: remotePeer, misdeed }),
    });
  return { local: end(outbound, remoteId), remote: end(inbound, localId), charged };
}
