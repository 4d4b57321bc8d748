import { noise } from '@libp2p/noise';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import { createLibp2p } from 'libp2p';
import type { Stream } from '@libp2p/interface';

export interface TcpStreams {
  /** Two ends of a fresh stream over one TCP connection with noise and yamux. */
  pair(): Promise<readonly [Stream, Stream]>;
  stop(): Promise<void>;
}

/** Two bare libp2p nodes of this process over loopback. */
export async function tcpStreams(protocol: string): Promise<TcpStreams> {
  const node = async (listen: string[]) =>
    createLibp2p({
      addresses: { listen },
      transports: [tcp()],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
    });
  const [server, client] = await Promise.all([node(['/ip4/127.0.0.1/tcp/0']), node([])]);
  const waiting: ((stream: Stream) => void)[] = [];
  await server.handle(protocol, (stream) => waiting.shift()?.(stream), { maxInboundStreams: 1024 });
  return {
    async pair() {
      const inbound = new Promise<Stream>((resolve) => waiting.push(resolve));
      const outbound = await client.dialProtocol(server.getMultiaddrs(), protocol, { maxOutboundStreams: 1024 });
      return [outbound, await inbound];
    },
    async stop() {
      await Promise.all([client.stop(), server.stop()]);
    },
  };
}
