import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hostileModels } from '#support/hostile-models.ts';
import {
  float32s,
  goodModel,
  int,
  int64s,
  ints,
  model,
  node,
  tensorAttribute,
  valueInfo,
} from '#support/onnx-models.ts';
import { type AdmittedModel, admitModel } from '#shared/onnx/admission.ts';
import { MiB } from '#shared/units.ts';

const data = path.resolve(import.meta.dirname, '../../../../shared/data/models');

function admitted(bytes: Uint8Array): AdmittedModel {
  const result = admitModel(bytes);
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.message}`);
  return result.value;
}

function codeOf(result: ReturnType<typeof admitModel> | ReturnType<AdmittedModel['estimateRun']>): string {
  return result.ok ? 'admitted' : result.error.code;
}

describe('admission of hostile models', () => {
  it.each(hostileModels().map((hostile) => [hostile.name, hostile] as const))('refuses %s', (_, hostile) => {
    expect(codeOf(admitModel(hostile.bytes))).toBe(hostile.code);
  });

  it('says what to do about every refusal', () => {
    const silent = hostileModels().filter(({ bytes }) => {
      const result = admitModel(bytes);
      return result.ok || !/\w{3}.*\.$/.test(result.error.remedy ?? '');
    });
    expect(silent.map(({ name }) => name)).toEqual([]);
  });

  it('takes at most 50 ms of processor time for the slowest of them, the best of five tries', () => {
    const slow = hostileModels().flatMap(({ bytes, name }) => {
      let best = Infinity;
      for (let attempt = 0; attempt < 5 && best > 50; attempt++) {
        const before = process.threadCpuUsage();
        admitModel(bytes);
        const { user, system } = process.threadCpuUsage(before);
        best = Math.min(best, (user + system) / 1000);
      }
      return best > 50 ? [{ name, best }] : [];
    });
    expect(slow).toEqual([]);
  });

  it('keeps no memory that a file only announces', () => {
    const before = process.memoryUsage().arrayBuffers;
    for (const { bytes } of hostileModels()) admitModel(bytes);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(32 * MiB);
  });
});

describe('admission of damaged models', () => {
  const good = goodModel();

  it('neither throws nor hangs on any change of bytes', () => {
    const change = fc.record({ at: fc.nat(good.length - 1), byte: fc.nat(255) });
    let refused = 0;
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 8 }), (changes) => {
        const bytes = Uint8Array.from(good);
        for (const { at, byte } of changes) bytes[at] = byte;
        const result = admitModel(bytes);
        if (!result.ok) refused += 1;
        return result.ok || result.error.code.startsWith('admission.');
      }),
      { numRuns: 2000, seed: 20_260_801 },
    );
    // Changes of weights alone are harmless; most others are seen.
    expect(refused).toBeGreaterThan(1000);
  });

  it('refuses every cut and neither throws on insertions nor on deletions', () => {
    const cuts = Array.from({ length: good.length }, (_, length) => good.subarray(0, length));
    expect(cuts.filter((bytes) => admitModel(bytes).ok)).toEqual([]);
    fc.assert(
      fc.property(fc.nat(good.length), fc.nat(16), fc.uint8Array({ maxLength: 16 }), (at, deleted, inserted) => {
        admitModel(Uint8Array.of(...good.subarray(0, at), ...inserted, ...good.subarray(at + deleted)));
      }),
      { numRuns: 1000, seed: 7 },
    );
  });
});

describe('admission of models that are well', () => {
  it('describes inputs, outputs, weights and cost', () => {
    const value = admitted(goodModel());
    expect(value.inputs).toEqual([{ name: 'x', dtype: 'float32', dims: [-1, 4] }]);
    expect(value.outputs).toEqual([{ name: 'y', dtype: 'float32', dims: [-1, 3] }]);
    expect(value).toMatchObject({ nodeCount: 4, opset: 17, parameters: 12 + 3 + 2 });
  });

  it('judges a run by its own sizes', () => {
    const value = admitted(goodModel());
    const run = value.estimateRun([{ name: 'x', dtype: 'float32', dims: [1000, 4] }]);
    expect(run.ok && run.value.outputs).toEqual([{ name: 'y', dtype: 'float32', dims: [1000, 3] }]);
    // 2 x 1000 x 4 x 3 for the product; the rest is one for each element read or written.
    expect(run.ok && run.value.flops).toBeGreaterThan(24_000);
    expect(codeOf(value.estimateRun([{ name: 'x', dtype: 'float32', dims: [50_000_000, 4] }]))).toBe(
      'admission.tensor_too_large',
    );
    expect(codeOf(value.estimateRun([{ name: 'x', dtype: 'float32', dims: [-1, 4] }]))).toBe('admission.dims');
  });

  it('refuses a run whose inputs are not the declared ones', () => {
    const value = admitted(goodModel());
    const x = { name: 'x', dtype: 'float32', dims: [2, 4] } as const;
    const wrong = [
      [],
      [x, x],
      [x, { ...x, name: 'w' }],
      [{ ...x, dtype: 'int64' as const }],
      [{ ...x, dims: [2, 5] }],
      [{ ...x, dims: [2, 4, 1] }],
    ];
    for (const inputs of wrong) expect(codeOf(value.estimateRun(inputs))).toBe('admission.input_mismatch');
  });

  it('gives every use of an open size’s name the same size', () => {
    const bytes = model({
      nodes: [node('Add', ['a', 'b'], ['y'])],
      inputs: [valueInfo('a', ['n']), valueInfo('b', ['n'])],
      outputs: [valueInfo('y', ['n'])],
    });
    const run = (a: number, b: number) =>
      admitted(bytes).estimateRun([
        { name: 'a', dtype: 'float32', dims: [a] },
        { name: 'b', dtype: 'float32', dims: [b] },
      ]);
    expect(codeOf(run(3, 3))).toBe('admitted');
    expect(codeOf(run(3, 1))).toBe('admission.input_mismatch');
  });

  it('follows sizes through Shape, Gather, Concat and Reshape', () => {
    const bytes = model({
      nodes: [
        node('Shape', ['x'], ['s']),
        node('Gather', ['s', 'zero'], ['n']),
        node('Constant', [], ['rest'], [tensorAttribute('value', int64s('', [-1]))]),
        node('Unsqueeze', ['n', 'axes'], ['n1']),
        node('Concat', ['n1', 'rest'], ['target'], [int('axis', 0)]),
        node('Reshape', ['x', 'target'], ['y']),
      ],
      initializers: [int64s('zero', [0], []), int64s('axes', [0])],
      inputs: [valueInfo('x', ['n', 3, 5])],
      outputs: [valueInfo('y', ['n', 15])],
    });
    const run = admitted(bytes).estimateRun([{ name: 'x', dtype: 'float32', dims: [7, 3, 5] }]);
    expect(run.ok && run.value.outputs[0]?.dims).toEqual([7, 15]);
  });

  it('finds sizes for open images, which one pixel would not fit', () => {
    const bytes = model({
      nodes: [node('Conv', ['x', 'w'], ['y'], [ints('kernel_shape', 5, 5)])],
      initializers: [
        float32s(
          'w',
          Array.from({ length: 75 }, () => 1),
          [1, 3, 5, 5],
        ),
      ],
      inputs: [valueInfo('x', ['n', 3, 'h', 'w'])],
      outputs: [valueInfo('y', undefined)],
    });
    expect(admitted(bytes).outputs[0]?.dims).toEqual([-1, -1, -1, -1]);
  });

  it('holds callers’ own limits', () => {
    expect(codeOf(admitModel(goodModel(), { peakBytes: 100 }))).toBe('admission.memory');
    expect(codeOf(admitModel(goodModel(), { flops: 10 }))).toBe('admission.compute');
    expect(codeOf(admitModel(goodModel(), { modelBytes: 10 }))).toBe('admission.too_large');
    expect(codeOf(admitModel(goodModel(), { nodes: 3 }))).toBe('admission.too_many_nodes');
    expect(codeOf(admitModel(goodModel(), { tensorBytes: 8 }))).toBe('admission.tensor_too_large');
  });

  it('keeps no view of the file', () => {
    const bytes = goodModel();
    const value = admitted(bytes);
    bytes.fill(0xff);
    const run = value.estimateRun([{ name: 'x', dtype: 'float32', dims: [2, 4] }]);
    expect(run.ok && run.value.outputs[0]?.dims).toEqual([2, 3]);
  });
});

describe('admission of real models', () => {
  it.skipIf(!existsSync(data))('takes a digit classifier of opset 8 (needs ../shared/data)', () => {
    const value = admitted(readFileSync(path.join(data, 'mnist.onnx')));
    expect(value.inputs).toEqual([{ name: 'Input3', dtype: 'float32', dims: [1, 1, 28, 28] }]);
    expect(value.outputs).toEqual([{ name: 'Plus214_Output_0', dtype: 'float32', dims: [1, 10] }]);
    expect(value.opset).toBe(8);
  });

  it.skipIf(!existsSync(data))('takes a face detector of opset 9 (needs ../shared/data)', () => {
    const value = admitted(readFileSync(path.join(data, 'ultraface-rfb-320.onnx')));
    expect(value.outputs.map(({ dims }) => dims)).toEqual([
      [1, 4420, 2],
      [1, 4420, 4],
    ]);
    expect(value.peakBytes).toBeLessThan(32 * MiB);
  });
});
