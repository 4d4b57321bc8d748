import { createSocket } from 'node:dgram';
import type { RemoteInfo, Socket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv4 } from 'node:net';
import { appError } from '#shared/errors.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import { err, ok } from '#shared/result.ts';
import type { Result } from '#shared/result.ts';
import type { NetworkError } from '../port.ts';
import { SourceRate } from '../rate.ts';

/** RFC 5389: header of 20 bytes, then attributes. Only the binding request is answered. */
const HEADER_BYTES = 20;
const BINDING_REQUEST = 0x0001;
const BINDING_SUCCESS = 0x0101;
const MAGIC_COOKIE = 0x2112a442;
const XOR_MAPPED_ADDRESS = 0x0020;
/** A request larger than the smallest MTU is none. */
const MAX_REQUEST_BYTES = 548;

export interface StunResponder {
  readonly port: number;
  stop(): Promise<void>;
}

/**
 * Tells whoever asks which address and port its packets come from, over IPv4 and, where there is any, IPv6. Homes
 * need it to connect directly; with one beside each relay nobody else's server learns who takes part.
 */
export async function startStun(options: {
  readonly port: number;
  /** All interfaces by default. */
  readonly host?: string;
}): Promise<Result<StunResponder, NetworkError>> {
  const rate = new SourceRate(LIMITS.relay.stunPerSecondPerHost, LIMITS.relay.stunHosts);
  const everywhere = options.host === undefined;
  const first = await listen(isIPv4(options.host ?? '0.0.0.0') ? 'udp4' : 'udp6', options.port, options.host, rate);
  if (first === undefined) return err(portTaken(options.port));
  const { port } = first.address();
  // A machine without IPv6 is served over IPv4 alone.
  const second = everywhere ? await listen('udp6', port, '::', rate) : undefined;
  const sockets = [first, ...(second === undefined ? [] : [second])];
  return ok({
    port,
    stop: async () => {
      await Promise.all(sockets.map(async (socket) => new Promise<void>((resolve) => socket.close(() => resolve()))));
    },
  });
}

async function listen(
  type: 'udp4' | 'udp6',
  port: number,
  host: string | undefined,
  rate: SourceRate,
): Promise<Socket | undefined> {
  const socket = createSocket({ type, ipv6Only: type === 'udp6' });
  socket.on('message', (request, from) => {
    if (!rate.allows(from.address, Date.now())) return;
    const answer = answerTo(request, from);
    // A lost datagram is the network's everyday; nobody waits for it.
    if (answer !== undefined) socket.send(answer, from.port, from.address, () => undefined);
  });
  try {
    socket.bind(port, host);
    await once(socket, 'listening');
    socket.on('error', () => undefined);
    return socket;
  } catch {
    socket.close();
    return undefined;
  }
}

/** The success response, or undefined where the bytes are no binding request. */
export function answerTo(request: Uint8Array, from: Pick<RemoteInfo, 'address' | 'port'>): Uint8Array | undefined {
  if (request.byteLength < HEADER_BYTES || request.byteLength > MAX_REQUEST_BYTES) return undefined;
  const read = new DataView(request.buffer, request.byteOffset, request.byteLength);
  if (read.getUint16(0) !== BINDING_REQUEST || read.getUint32(4) !== MAGIC_COOKIE) return undefined;
  if (read.getUint16(2) !== request.byteLength - HEADER_BYTES) return undefined;
  const address = addressBytes(from.address);
  if (address === undefined) return undefined;
  const valueBytes = 4 + address.byteLength;
  const answer = new Uint8Array(HEADER_BYTES + 4 + valueBytes);
  const write = new DataView(answer.buffer);
  write.setUint16(0, BINDING_SUCCESS);
  write.setUint16(2, 4 + valueBytes);
  // Cookie and transaction id; the address is XORed with the same bytes.
  answer.set(request.subarray(4, HEADER_BYTES), 4);
  write.setUint16(20, XOR_MAPPED_ADDRESS);
  write.setUint16(22, valueBytes);
  write.setUint8(25, address.byteLength === 4 ? 1 : 2);
  write.setUint16(26, from.port ^ (MAGIC_COOKIE >>> 16));
  answer.set(
    address.map((byte, index) => byte ^ (answer[4 + index] ?? 0)),
    28,
  );
  return answer;
}

function addressBytes(text: string): Uint8Array | undefined {
  if (isIPv4(text)) return Uint8Array.from(text.split('.'), Number);
  const [withoutZone = ''] = text.split('%');
  const [head = '', tail] = withoutZone.split('::');
  const groups = (part: string): number[] => (part === '' ? [] : part.split(':').map((group) => parseInt(group, 16)));
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length;
  const all = [...before, ...Array.from({ length: Math.max(0, zeros) }, () => 0), ...after];
  if (all.length !== 8 || all.some((group) => !(group >= 0 && group <= 0xffff))) return undefined;
  return Uint8Array.from(all.flatMap((group) => [group >>> 8, group & 0xff]));
}

function portTaken(port: number): NetworkError {
  return appError('network.address_in_use', `The STUN responder cannot listen on UDP port ${port}.`, {
    remedy: 'Stop the other program that uses it or choose another port.',
    data: { port },
  });
}
