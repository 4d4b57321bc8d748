import { z } from 'zod';
import { LIMITS } from '#shared/protocol/limits.ts';
import { wei, type Address, type Hex, type PeerIdText, type Wei } from '#shared/units.ts';
import { channelsContract, eventTopic, identityContract, reputationContract } from '../abi.ts';
import { peerIdFromBytes } from '../peer-id.ts';
import { addressText, hash32, hexBytes, smallQuantity } from '../rpc/quantity.ts';

/** Where on the chain an event stands. */
export interface Place {
  readonly block: number;
  readonly logIndex: number;
  readonly transactionHash: Hex;
  /** Unix seconds of its block. */
  readonly time: number;
}

/** Events of our contracts that concern one account. Addresses and hashes are in lower case. */
export type ChainEvent = { readonly at: Place } & (
  | {
      readonly kind: 'opened';
      readonly channelId: Hex;
      readonly payer: Address;
      readonly payee: Address;
      readonly signer: Address;
      readonly depositWei: Wei;
      readonly challengeSeconds: number;
    }
  | { readonly kind: 'topped_up'; readonly channelId: Hex; readonly depositWei: Wei }
  | {
      readonly kind: 'settled';
      readonly channelId: Hex;
      readonly payee: Address;
      readonly paidWei: Wei;
      readonly cumulativeWei: Wei;
    }
  | { readonly kind: 'close_requested'; readonly channelId: Hex; readonly closeAt: number }
  | { readonly kind: 'closed'; readonly channelId: Hex; readonly settledWei: Wei; readonly refundedWei: Wei }
  | { readonly kind: 'registered'; readonly agentId: bigint; readonly owner: Address; readonly uri: string }
  | { readonly kind: 'peer_bound'; readonly agentId: bigint; readonly peerId: PeerIdText | undefined }
  | {
      readonly kind: 'feedback';
      readonly agentId: bigint;
      readonly client: Address;
      readonly feedbackIndex: bigint;
      /** In the scale the client chose; Hearth's own clients use 0 to 100. */
      readonly value: number;
      readonly tag: string;
      readonly uri: string;
      readonly evidence: Hex;
    }
  | {
      readonly kind: 'feedback_revoked';
      readonly agentId: bigint;
      readonly client: Address;
      readonly feedbackIndex: bigint;
    }
);

export const TOPICS = {
  opened: eventTopic(channelsContract, 'Opened'),
  toppedUp: eventTopic(channelsContract, 'ToppedUp'),
  settled: eventTopic(channelsContract, 'Settled'),
  closeRequested: eventTopic(channelsContract, 'CloseRequested'),
  closed: eventTopic(channelsContract, 'Closed'),
  registered: eventTopic(identityContract, 'Registered'),
  peerBound: eventTopic(identityContract, 'PeerBound'),
  peerReleased: eventTopic(identityContract, 'PeerReleased'),
  feedback: eventTopic(reputationContract, 'NewFeedback'),
  feedbackRevoked: eventTopic(reputationContract, 'FeedbackRevoked'),
} as const;

export const rawLogSchema = z.object({
  address: addressText,
  topics: z.array(hash32).min(1).max(4),
  data: hexBytes,
  blockNumber: smallQuantity,
  blockHash: hash32,
  transactionHash: hash32,
  logIndex: smallQuantity,
  removed: z.boolean().optional(),
});
export type RawLog = z.infer<typeof rawLogSchema>;

/**
 * Reads a log by offsets, which is ten times faster than a general decoder; undefined where it is none of ours or
 * does not have the event's shape. `time` is its block's.
 */
export function decodeEvent(log: RawLog, time: number): ChainEvent | undefined {
  const at = { block: log.blockNumber, logIndex: log.logIndex, transactionHash: log.transactionHash, time };
  const [topic, first, second, third] = log.topics;
  if (first === undefined) return undefined;
  switch (topic) {
    case TOPICS.opened:
      if (!second || !third || !hasWords(log, 4)) return undefined;
      return {
        at,
        kind: 'opened',
        channelId: first,
        payer: topicAddress(second),
        payee: topicAddress(third),
        signer: `0x${log.data.slice(26, 66).toLowerCase()}`,
        depositWei: wei(word(log, 1)),
        challengeSeconds: Number(word(log, 2)),
      };
    case TOPICS.toppedUp:
      return hasWords(log, 1) ? { at, kind: 'topped_up', channelId: first, depositWei: wei(word(log, 0)) } : undefined;
    case TOPICS.settled:
      if (!second || !hasWords(log, 2)) return undefined;
      return {
        at,
        kind: 'settled',
        channelId: first,
        payee: topicAddress(second),
        paidWei: wei(word(log, 0)),
        cumulativeWei: wei(word(log, 1)),
      };
    case TOPICS.closeRequested:
      return hasWords(log, 1)
        ? { at, kind: 'close_requested', channelId: first, closeAt: Number(word(log, 0)) }
        : undefined;
    case TOPICS.closed:
      if (!hasWords(log, 2)) return undefined;
      return { at, kind: 'closed', channelId: first, settledWei: wei(word(log, 0)), refundedWei: wei(word(log, 1)) };
    case TOPICS.registered:
      if (!second) return undefined;
      return { at, kind: 'registered', agentId: BigInt(first), owner: topicAddress(second), uri: decodeUri(log) };
    case TOPICS.peerBound:
      return { at, kind: 'peer_bound', agentId: BigInt(first), peerId: decodePeer(log) };
    case TOPICS.peerReleased:
      return { at, kind: 'peer_bound', agentId: BigInt(first), peerId: undefined };
    case TOPICS.feedback:
      return decodeFeedback(log, at);
    case TOPICS.feedbackRevoked:
      if (!second || !third) return undefined;
      return {
        at,
        kind: 'feedback_revoked',
        agentId: BigInt(first),
        client: topicAddress(second),
        feedbackIndex: BigInt(third),
      };
    case undefined:
    default:
      return undefined;
  }
}

function hasWords(log: RawLog, count: number): boolean {
  return log.data.length === 2 + count * 64;
}

function word(log: RawLog, index: number): bigint {
  return BigInt(`0x${log.data.slice(2 + index * 64, 66 + index * 64)}`);
}

function topicAddress(topic: Hex): Address {
  return `0x${topic.slice(26)}`;
}

/** Values of an event with text in it: rare, so a general decoder will do. Undefined where the data is not valid. */
function parse(contract: { readonly interface: typeof channelsContract.interface }, log: RawLog) {
  try {
    return contract.interface.parseLog(log)?.args;
  } catch {
    return undefined;
  }
}

function decodeUri(log: RawLog): string {
  return bounded(textOf(() => parse(identityContract, log)?.['agentURI']));
}

function decodePeer(log: RawLog): PeerIdText | undefined {
  const bytes = textOf(() => parse(identityContract, log)?.['peerId']);
  return bytes.length === 80 ? peerIdFromBytes(Buffer.from(bytes.slice(2), 'hex')) : undefined;
}

function decodeFeedback(log: RawLog, at: Place): ChainEvent | undefined {
  const args = parse(reputationContract, log);
  const client = log.topics[2];
  if (!args || !client) return undefined;
  return {
    at,
    kind: 'feedback',
    agentId: BigInt(String(args['agentId'])),
    client: topicAddress(client),
    feedbackIndex: BigInt(String(args['feedbackIndex'])),
    value: Number(args['value']) / 10 ** Number(args['valueDecimals']),
    tag: bounded(textOf(() => args['tag1'])),
    uri: bounded(textOf(() => args['feedbackURI'])),
    evidence: textOf(() => args['feedbackHash']) as Hex,
  };
}

/** ethers throws when a string that is not UTF-8 is touched: anybody can put such bytes on the chain. */
function textOf(read: () => unknown): string {
  try {
    const text = read();
    return typeof text === 'string' ? text : '';
  } catch {
    return '';
  }
}

function bounded(text: string): string {
  return text.length <= LIMITS.chain.feedbackTextBytes ? text : text.slice(0, LIMITS.chain.feedbackTextBytes);
}
