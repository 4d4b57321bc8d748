import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FieldReader, FieldWriter, WireFault } from '#core/compute/wire/fields.ts';
import { FrameParser, KIND, type Frame } from '#core/compute/wire/frame.ts';
import {
  decodeLoad,
  decodeLoaded,
  decodeReady,
  decodeResult,
  decodeRun,
  decodeUnload,
  encodeLoad,
  encodeLoaded,
  encodeReady,
  encodeResult,
  encodeRun,
  encodeUnload,
} from '#core/compute/wire/messages.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import { bool, f32, i64 } from '#support/tensors.ts';

const MAX = 1 << 20;
const DECODERS = [decodeReady, decodeLoad, decodeUnload, decodeRun, decodeLoaded, decodeResult];

/** The frames in `bytes`, cut at every `step` bytes. */
function parse(bytes: Uint8Array, step = bytes.length, maxBodyBytes = MAX): Frame[] {
  const frames: Frame[] = [];
  const parser = new FrameParser(
    (frame) => frames.push(frame),
    () => maxBodyBytes,
  );
  for (let at = 0; at < bytes.length; at += step) parser.push(bytes.subarray(at, at + step));
  return frames;
}

function only(pieces: readonly Uint8Array[]): Frame {
  const [frame] = parse(Buffer.concat(pieces));
  if (frame === undefined) throw new Error('no frame');
  return frame;
}

function isWireFault(fault: unknown): boolean {
  return fault instanceof WireFault || fault instanceof RangeError;
}

describe('the messages between pool and executor', () => {
  const inputs = [f32([1, 2, 3]), bool([true, false, true]), i64([-5n], [1, 1])];

  it('arrive as they were sent', () => {
    expect(decodeReady(only(encodeReady('1.2.3')))).toEqual({ runtimeVersion: '1.2.3' });
    expect(decodeUnload(only(encodeUnload(7)))).toEqual({ slot: 7 });
    const model = Uint8Array.of(1, 2, 3, 4, 5);
    expect(decodeLoad(only(encodeLoad({ seq: 1, slot: 2 }, model)))).toEqual({ seq: 1, slot: 2, model });
    const run = { seq: 3, slot: 2, maxOutputBytes: 2 ** 33, inputs };
    expect(decodeRun(only(encodeRun(run)))).toEqual(run);
    const specs = [{ name: 'ä', dtype: 'float32', dims: [-1, 3] }];
    const loaded = { seq: 4, outcome: { inputs: specs, outputs: [] } };
    expect(decodeLoaded(only(encodeLoaded(loaded)))).toEqual(loaded);
    const result = { seq: 5, computeMicros: 12, outcome: inputs };
    expect(decodeResult(only(encodeResult(result)))).toEqual(result);
    const failed = { seq: 6, computeMicros: 0, outcome: { code: 'compute.memory', reason: 'why' } } as const;
    expect(decodeResult(only(encodeResult(failed)))).toEqual(failed);
  });

  it('give tensors that typed arrays can lie on', () => {
    const { outcome } = decodeResult(only(encodeResult({ seq: 1, computeMicros: 1, outcome: inputs })));
    const offsets = 'code' in outcome ? [] : outcome.map(({ bytes }) => bytes.byteOffset % 8);
    expect(offsets).toEqual([0, 0, 0]);
  });

  it('are cut to frames wherever the chunks end', () => {
    const bytes = Buffer.concat([1, 2, 3].flatMap((seq) => encodeRun({ seq, slot: 1, maxOutputBytes: 9, inputs })));
    for (const step of [1, 2, 7, 16, 17, 40, bytes.length]) {
      expect(parse(bytes, step).map((frame) => decodeRun(frame).seq)).toEqual([1, 2, 3]);
    }
  });

  it('are refused when the body is longer than allowed, before it is there', () => {
    const [start] = encodeResult({ seq: 1, computeMicros: 1, outcome: [f32(Array.from({ length: 64 }, () => 0))] });
    expect(() => parse(start ?? new Uint8Array(), 16, 255)).toThrow(WireFault);
    expect(parse(start ?? new Uint8Array(), 16, 256)).toEqual([]);
  });

  it('are refused when a reason is longer than agreed', () => {
    const head = new FieldWriter().u32(1).u32(0).u8(4).text('x'.repeat(5000), 5000);
    const frame = { kind: KIND.result, head: head.finish(), body: new Uint8Array(0) };
    expect(() => decodeResult(frame)).toThrow(WireFault);
    const cut = only(
      encodeResult({ seq: 1, computeMicros: 0, outcome: { code: 'compute.run_failed', reason: 'x'.repeat(5000) } }),
    );
    expect(decodeResult(cut).outcome).toMatchObject({ reason: 'x'.repeat(LIMITS.compute.reasonBytes) });
  });

  it.each<[string, (head: FieldWriter) => unknown, number]>([
    ['an unknown status', (head) => head.u8(99), 0],
    ['an unknown element type', (head) => head.u8(0).u16(1).u8(99).dims([1]), 8],
    ['a negative size', (head) => head.u8(0).u16(1).dtype('float32').u8(1).f64(-1), 0],
    ['a size that is no integer', (head) => head.u8(0).u16(1).dtype('float32').u8(1).f64(0.5), 0],
    [
      'sizes whose product overflows',
      (head) =>
        head
          .u8(0)
          .u16(1)
          .dtype('float32')
          .dims(Array.from({ length: 16 }, () => 2 ** 52)),
      8,
    ],
    [
      'infinitely many times nothing',
      (head) =>
        head
          .u8(0)
          .u16(1)
          .dtype('float32')
          .dims([...Array.from({ length: 15 }, () => 2 ** 52), 2 ** 52, 0]),
      0,
    ],
    [
      'more dimensions than tensors have',
      (head) =>
        head
          .u8(0)
          .u16(1)
          .dtype('float32')
          .dims(Array.from({ length: 17 }, () => 1)),
      8,
    ],
    ['more tensors than models have', (head) => head.u8(0).u16(60_000), 0],
    ['a tensor beyond the body', (head) => head.u8(0).u16(1).dtype('float32').dims([3]), 8],
    ['a body beyond the tensors', (head) => head.u8(0).u16(1).dtype('float32').dims([1]), 16],
    ['bytes after the end', (head) => head.u8(0).u16(0).u8(1), 0],
  ])('are refused with %s', (_, write, bodyBytes) => {
    const head = new FieldWriter().u32(1).u32(1);
    write(head);
    const frame = { kind: KIND.result, head: head.finish(), body: new Uint8Array(bodyBytes) };
    expect(() => decodeResult(frame)).toThrow(WireFault);
  });

  it('are refused, and never misread, whatever the bytes are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ maxLength: 64 }), (head, body) => {
        for (const decode of DECODERS) {
          try {
            decode({ kind: 0, head: Buffer.from(head), body });
          } catch (fault) {
            if (!isWireFault(fault)) throw fault;
          }
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('are refused, and never misread, when any byte of a stream is changed', () => {
    const good = Buffer.concat(encodeResult({ seq: 1, computeMicros: 5, outcome: inputs }));
    const change = fc.tuple(fc.nat(good.length - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        const bytes = Buffer.from(good);
        for (const [at, value] of changes) bytes[at] = value;
        try {
          for (const frame of parse(bytes)) decodeResult(frame);
        } catch (fault) {
          if (!isWireFault(fault)) throw fault;
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('FieldReader', () => {
  it('refuses to read past the end', () => {
    expect(() => new FieldReader(Buffer.alloc(3)).u32()).toThrow(WireFault);
    expect(() => new FieldReader(Buffer.from([255, 255, 65])).text()).toThrow(WireFault);
  });
});
