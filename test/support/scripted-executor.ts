import { encodeFrame, KIND } from '#core/compute/wire/frame.ts';
import { decodeLoad, decodeRun, encodeLoaded, encodeReady, encodeResult } from '#core/compute/wire/messages.ts';
import { ExecutorChannel } from '../../electron/executor/executor-channel.ts';

/**
 * Stands in for the real executor's process: speaks the pipe's protocol over a model x -> y, both float32 [1], and does
 * what the number in x says. Every other number is doubled.
 */
export const SCRIPT = {
  crash: 666,
  hang: 667,
  garbage: 668,
  wrongSeq: 669,
  wrongDims: 670,
  oversize: 671,
  hugeHeader: 672,
  twice: 673,
  crashAlways: 674,
  badReason: 675,
  grow: 676,
} as const;

function act(channel: ExecutorChannel, seq: number, value: number): void {
  const answer = (number: number, dims: readonly number[] = [1], at = seq) => {
    const bytes = new Uint8Array(Float32Array.from({ length: dims[0] ?? 1 }, () => number).buffer);
    channel.write(encodeResult({ seq: at, computeMicros: 1, outcome: [{ dtype: 'float32', dims, bytes }] }));
  };
  if (value === SCRIPT.crash || value === SCRIPT.crashAlways) process.abort();
  if (value === SCRIPT.hang) for (;;);
  if (value === SCRIPT.grow) grow();
  if (value === SCRIPT.garbage) channel.write([Buffer.from('HTTP/1.1 200 OK\r\n\r\n')]);
  else if (value === SCRIPT.wrongSeq) answer(1, [1], seq + 1);
  else if (value === SCRIPT.wrongDims) answer(1, [2]);
  else if (value === SCRIPT.oversize) answer(1, [1_000_000]);
  else if (value === SCRIPT.hugeHeader) {
    const [start] = encodeFrame(KIND.result, Buffer.alloc(0), []);
    const header = Buffer.from(start ?? []);
    header.writeUInt32LE(0xff_ff_ff_f0, 12);
    channel.write([header]);
  } else if (value === SCRIPT.badReason) {
    channel.write(
      encodeResult({ seq, computeMicros: 0, outcome: { code: 'compute.run_failed', reason: 'a\u001b[2J\nb' } }),
    );
  } else answer(value * 2);
  if (value === SCRIPT.twice) answer(value * 2);
}

/** Takes 32 MiB every 10 ms, for as long as it lives. */
function grow(): never {
  const taken: Buffer[] = [];
  const clock = new Int32Array(new SharedArrayBuffer(4));
  for (;;) {
    taken.push(Buffer.alloc(32 * 1024 * 1024, taken.length + 1));
    Atomics.wait(clock, 0, 0, 10);
  }
}

if (process.argv[1] === import.meta.filename) {
  const channel = new ExecutorChannel(3);
  channel.write(encodeReady('scripted'));
  for (let frame = channel.read(); frame !== undefined; frame = channel.read()) {
    if (frame.kind === KIND.load) {
      const { seq } = decodeLoad(frame);
      const spec = (name: string) => ({ name, dtype: 'float32', dims: [1] });
      channel.write(encodeLoaded({ seq, outcome: { inputs: [spec('x')], outputs: [spec('y')] } }));
    } else if (frame.kind === KIND.run) {
      const { seq, inputs } = decodeRun(frame);
      const [input] = inputs;
      if (input === undefined) throw new Error('no input');
      act(channel, seq, new DataView(input.bytes.buffer, input.bytes.byteOffset).getFloat32(0, true));
    }
  }
}
