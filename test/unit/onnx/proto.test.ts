import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  float32s,
  goodModel,
  graph,
  int,
  int64s,
  ints,
  model,
  node,
  tensorAttribute,
  text,
  valueInfo,
} from '#support/onnx-models.ts';
import { LIMITS } from '#shared/protocol/limits.ts';
import { readModel } from '#shared/onnx/proto/read-model.ts';
import { decodeUtf8, encodeUtf8 } from '#shared/onnx/proto/utf8.ts';
import { WireReader, countVarints } from '#shared/onnx/proto/wire.ts';
import { WireWriter } from '#shared/onnx/proto/wire-writer.ts';
import { encodeModel } from '#shared/onnx/proto/write-model.ts';
import type { Model } from '#shared/onnx/proto/types.ts';

const budget = () => ({ items: 1000, nameBytes: 1000 });

function read(bytes: Uint8Array): Model {
  const result = readModel(bytes, LIMITS.onnx);
  if (!result.ok) throw new Error(result.error.code);
  return result.value;
}

describe('the wire format', () => {
  it('brings back every signed 64-bit integer that a double holds', () => {
    const values = fc.oneof(
      fc.maxSafeInteger(),
      fc.constantFrom(0, -1, 2 ** 31, -(2 ** 31), 2 ** 32, 2 ** 53, 2 ** 63, -(2 ** 63)),
    );
    fc.assert(
      fc.property(values, (value) => {
        const reader = new WireReader(new WireWriter().int(3, value).finish(), budget());
        expect(reader.next()).toBe(3);
        expect(reader.int64()).toBe(value);
        expect(reader.next()).toBe(0);
      }),
      { seed: 1 },
    );
  });

  it('refuses an int32 that other readers would cut to its low bits', () => {
    const reader = new WireReader(new WireWriter().int(2, 2 ** 32 + 1).finish(), budget());
    reader.next();
    expect(() => reader.int32()).toThrow('admission.malformed');
  });

  it('refuses a number of more than 64 bits', () => {
    const tenBytes = (last: number) =>
      new WireReader(Uint8Array.of(8, ...Array.from({ length: 9 }, () => 0xff), last), budget());
    const [longest, tooLong] = [tenBytes(1), tenBytes(2)];
    longest.next();
    tooLong.next();
    expect(longest.int64()).toBe(-1);
    expect(() => tooLong.int64()).toThrow('admission.malformed');
  });

  it('reads lists packed and unpacked', () => {
    const packed = new WireReader(Uint8Array.of(0x0a, 3, 1, 0x80, 1), budget());
    const single = new WireReader(Uint8Array.of(0x08, 1, 0x08, 0x80, 1), budget());
    const lists = [packed, single].map((reader) => {
      const values: number[] = [];
      while (reader.next() !== 0) reader.int64s(values);
      return values;
    });
    expect(lists).toEqual([
      [1, 128],
      [1, 128],
    ]);
  });

  it('counts the numbers of a packed run, and none where it ends inside one', () => {
    expect(countVarints(Uint8Array.of(1, 0x80, 1, 2))).toBe(3);
    expect(countVarints(Uint8Array.of(1, 0x80))).toBeUndefined();
  });

  it('gives byte fields as views', () => {
    const bytes = new WireWriter().bytes(9, Uint8Array.of(1, 2, 3)).finish();
    const reader = new WireReader(bytes, budget());
    reader.next();
    expect(reader.bytes().buffer).toBe(bytes.buffer);
  });
});

describe('UTF-8', () => {
  it('agrees with the platform on every text and refuses what it refuses', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (value) => {
        expect(decodeUtf8(encodeUtf8(value))).toBe(value);
        expect(encodeUtf8(value)).toEqual(new Uint8Array(Buffer.from(value)));
      }),
      { seed: 2 },
    );
    const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 6 }), (bytes) => {
        let expected: string | undefined;
        try {
          expected = strict.decode(bytes);
        } catch {
          expected = undefined;
        }
        expect(decodeUtf8(bytes)).toBe(expected);
      }),
      { seed: 3, numRuns: 5000 },
    );
  });
});

describe('models', () => {
  it('come back as they were written', () => {
    const written: Model = {
      irVersion: 8,
      producerName: 'a test',
      opsetImports: [{ domain: '', version: 17 }],
      functions: [Uint8Array.of(1)],
      trainingInfo: [],
      graph: graph({
        nodes: [
          node(
            'Op',
            ['a', '', 'b'],
            ['c'],
            [
              int('i', -3),
              ints('is', 1, -2, 2 ** 40),
              { name: 'f', type: 'float', value: 0.5 },
              { name: 'fs', type: 'floats', value: [0.25, -1] },
              { name: 'ss', type: 'strings', value: [Uint8Array.of(65)] },
              { name: 's', type: 'string', value: Uint8Array.of(66, 67) },
              tensorAttribute('t', int64s('', [4, 5])),
            ],
          ),
        ],
        initializers: [
          float32s('w', [1, 2], [2, 1]),
          { ...float32s('v', []), rawData: undefined, typedData: [{ field: 'float', chunks: [new Uint8Array(8)] }] },
        ],
        inputs: [valueInfo('a', ['n', '', 3]), valueInfo('scalar', []), valueInfo('unranked', undefined)],
        outputs: [{ name: 'c', tensor: undefined }],
        valueInfos: [valueInfo('m', [2 ** 33])],
      }),
    };
    expect(read(encodeModel(written))).toEqual(written);
  });

  it('keep weights as views of the file', () => {
    const bytes = goodModel();
    expect(read(bytes).graph.initializers[0]?.rawData?.buffer).toBe(bytes.buffer);
  });

  it('are written in the same bytes each time', () => {
    expect(goodModel()).toEqual(goodModel());
  });

  it('with text attributes keep the text', () => {
    const bytes = model({ nodes: [node('Conv', ['x'], ['y'], [text('auto_pad', 'VALID')])], outputs: [] });
    expect(read(bytes).graph.nodes[0]?.attributes[0]).toMatchObject({ value: new Uint8Array(Buffer.from('VALID')) });
  });
});
