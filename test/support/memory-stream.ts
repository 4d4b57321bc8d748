import { AbstractStream } from '@libp2p/utils';
import type { Logger } from '@libp2p/interface';
import type { SendResult } from '@libp2p/utils';
import type { Uint8ArrayList } from 'uint8arraylist';

/** Bytes under way before the sender is told to wait; small enough that tests meet back-pressure. */
const PIPE_BYTES = 256 * 1024;

function silentLogger(): Logger {
  const log = (): void => undefined;
  return Object.assign(log, { enabled: false, error: log, trace: log, newScope: silentLogger });
}

/**
 * A libp2p stream whose other end is in this process: libp2p's own stream machinery, with a pipe of bounded
 * capacity in place of muxer, cipher and socket. Bytes are copied, as a network would.
 */
class MemoryStream extends AbstractStream {
  remote: MemoryStream | undefined;
  #underWayBytes = 0;
  #gone = false;

  sendData(data: Uint8ArrayList): SendResult {
    const sentBytes = Math.min(data.byteLength, PIPE_BYTES - this.#underWayBytes);
    if (sentBytes > 0) {
      const copy = data.slice(0, sentBytes);
      this.#underWayBytes += sentBytes;
      this.#later((remote) => {
        remote.onData(copy);
        this.#underWayBytes -= sentBytes;
        if (this.writableNeedsDrain) this.safeDispatchEvent('drain');
      });
    }
    return { sentBytes, canSendMore: this.#underWayBytes < PIPE_BYTES };
  }

  sendReset(): void {
    this.#later((remote) => remote.onRemoteReset());
    this.#gone = true;
  }

  async sendCloseWrite(): Promise<void> {
    this.#later((remote) => remote.onRemoteCloseWrite());
  }

  async sendCloseRead(): Promise<void> {
    // As yamux: there is no message for it.
  }

  sendPause(): void {
    // As WebRTC: nothing tells the sender.
  }

  sendResume(): void {
    // As WebRTC: nothing tells the sender.
  }

  #later(deliver: (remote: MemoryStream) => void): void {
    const { remote } = this;
    if (this.#gone || remote === undefined) return;
    setImmediate(() => {
      if (remote.status === 'open' || remote.status === 'closing') deliver(remote);
    });
  }
}

/** Two ends of one stream. */
export function memoryStreamPair(protocol: string): readonly [AbstractStream, AbstractStream] {
  const end = (direction: 'outbound' | 'inbound'): MemoryStream =>
    new MemoryStream({ id: `memory-${direction}`, protocol, direction, log: silentLogger() });
  const ends = [end('outbound'), end('inbound')] as const;
  ends[0].remote = ends[1];
  ends[1].remote = ends[0];
  return ends;
}
