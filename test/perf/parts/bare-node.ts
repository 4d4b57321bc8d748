import { noise } from '@libp2p/noise';
import { tcp } from '@libp2p/tcp';
import { yamux } from '@libp2p/yamux';
import { createLibp2p } from 'libp2p';
import type { Stream } from '@libp2p/interface';
import { LIMITS } from '#shared/protocol/limits.ts';
import { MiB } from '#shared/units.ts';

/** What Hearth's own part is measured against: libp2p with the same transport, cipher and muxer, and nothing else. */
export function bareNode() {
  const { yamuxWindowBytes, readBufferBytes } = LIMITS.network;
  return createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [
      yamux({ streamOptions: { maxStreamWindowSize: yamuxWindowBytes, maxReadBufferLength: readBufferBytes } }),
    ],
  });
}

export const BARE_PROTOCOL = '/bare/1';

/** Sends so many bytes as fast as the stream takes them. */
export async function pour(stream: Stream, totalBytes: number): Promise<void> {
  const chunk = new Uint8Array(MiB).fill(7);
  for (let sent = 0; sent < totalBytes; sent += chunk.byteLength) {
    const more = stream.send(chunk.subarray(0, Math.min(chunk.byteLength, totalBytes - sent)));
    // Not onDrain(): its promise is never renewed.
    if (!more) await new Promise((resolve) => stream.addEventListener('drain', resolve, { once: true }));
  }
}

/** Resolves when so many bytes have come. */
export function swallow(stream: Stream, totalBytes: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let got = 0;
    stream.addEventListener('message', ({ data }) => {
      got += data.byteLength;
      if (got >= totalBytes) resolve();
    });
    stream.addEventListener('close', () => reject(new Error(`the stream ended after ${got} bytes`)));
  });
}
