import { z } from 'zod';
import { sameAddress, type Address, type Hex } from '#shared/units.ts';
import { hash32, smallQuantity, toQuantity } from '../rpc/quantity.ts';
import type { RpcRequest } from '../rpc/rpc.ts';
import { decodeEvent, rawLogSchema, TOPICS, type ChainEvent, type RawLog } from './events.ts';

export interface LogSource {
  readonly request: RpcRequest;
  readonly contracts: { readonly identity: Address; readonly reputation: Address; readonly channels: Address };
  readonly account: Address;
}

export interface Range {
  readonly from: number;
  readonly to: number;
}

/** Values of one topic in one filter: servers refuse longer lists. */
const TOPIC_VALUES = 200;
/** Block headers asked for at the same time. */
const HEADERS_AT_ONCE = 16;

const logsSchema = z.array(rawLogSchema);
const headerSchema = z.object({ number: smallQuantity, hash: hash32, timestamp: smallQuantity }).nullable();
export type Header = NonNullable<z.infer<typeof headerSchema>>;

/** Undefined where the server does not have the block. */
export async function readHeader(request: RpcRequest, number: number | 'latest'): Promise<Header | undefined> {
  const tag = number === 'latest' ? number : toQuantity(number);
  return headerSchema.parse(await request('eth_getBlockByNumber', [tag, false])) ?? undefined;
}

/**
 * Every event of a range that concerns the account, in chain order: channels it pays or is paid by, its agents, and
 * what is said of them. `channels` and `agents` are those known before the range.
 */
export async function readEvents(
  source: LogSource,
  range: Range,
  known: { readonly channels: readonly Hex[]; readonly agents: readonly bigint[] },
): Promise<readonly ChainEvent[]> {
  const { contracts, account } = source;
  const own = topicOf(BigInt(account));
  const [asPayer, asPayee, registered] = await Promise.all([
    readLogs(source, contracts.channels, range, [TOPICS.opened, null, own]),
    readLogs(source, contracts.channels, range, [TOPICS.opened, null, null, own]),
    readLogs(source, contracts.identity, range, [TOPICS.registered, null, own]),
  ]);
  const opened = [...asPayer, ...asPayee];
  const channels = [...known.channels, ...opened.flatMap((log) => log.topics[1] ?? [])];
  const agents = [...known.agents.map(topicOf), ...registered.flatMap((log) => log.topics[1] ?? [])];
  const later = await Promise.all([
    readByTopic(source, contracts.channels, range, channelTopics, channels),
    readByTopic(source, contracts.identity, range, [TOPICS.peerBound, TOPICS.peerReleased], agents),
    readByTopic(source, contracts.reputation, range, [TOPICS.feedback, TOPICS.feedbackRevoked], agents),
  ]);
  return decodeAll(source, [...opened, ...registered, ...later.flat()]);
}

const channelTopics = [TOPICS.toppedUp, TOPICS.settled, TOPICS.closeRequested, TOPICS.closed];

type TopicFilter = readonly (Hex | readonly Hex[] | null)[];

/** Logs of any of the events whose first indexed value is one of these. */
async function readByTopic(
  source: LogSource,
  address: Address,
  range: Range,
  events: readonly Hex[],
  values: readonly Hex[],
): Promise<readonly RawLog[]> {
  const logs: RawLog[] = [];
  for (let from = 0; from < values.length; from += TOPIC_VALUES) {
    logs.push(...(await readLogs(source, address, range, [events, values.slice(from, from + TOPIC_VALUES)])));
  }
  return logs;
}

async function readLogs(
  { request }: LogSource,
  address: Address,
  { from, to }: Range,
  topics: TopicFilter,
): Promise<readonly RawLog[]> {
  const filter = { address, topics, fromBlock: toQuantity(from), toBlock: toQuantity(to) };
  const logs = logsSchema.parse(await request('eth_getLogs', [filter]));
  // A server that filters badly must not put strangers' money into our books.
  return logs.filter(
    (log) =>
      sameAddress(log.address, address) && log.blockNumber >= from && log.blockNumber <= to && log.removed !== true,
  );
}

async function decodeAll({ request }: LogSource, logs: readonly RawLog[]): Promise<readonly ChainEvent[]> {
  const blocks = [...new Set(logs.map((log) => log.blockNumber))];
  const times = new Map<number, number>();
  for (let from = 0; from < blocks.length; from += HEADERS_AT_ONCE) {
    const headers = await Promise.all(blocks.slice(from, from + HEADERS_AT_ONCE).map((n) => readHeader(request, n)));
    for (const header of headers) if (header) times.set(header.number, header.timestamp);
  }
  return logs
    .flatMap((log) => decodeEvent(log, times.get(log.blockNumber) ?? 0) ?? [])
    .sort((a, b) => a.at.block - b.at.block || a.at.logIndex - b.at.logIndex);
}

function topicOf(value: bigint): Hex {
  return `0x${value.toString(16).padStart(64, '0')}`;
}
