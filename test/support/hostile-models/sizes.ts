import type { AdmissionErrorCode } from '#shared/onnx/admission.ts';
import { float32s, int, int64s, ints, model, node, rawTensor, tensorAttribute, valueInfo } from '../onnx-models.ts';
import { type HostileModel, around, hostile, open2, x1, y1 } from './hostile.ts';

export function sizes(): readonly HostileModel[] {
  const filled = (name: string, code: AdmissionErrorCode, shape: readonly bigint[]) =>
    hostile(
      name,
      code,
      model({
        nodes: [node('ConstantOfShape', ['s'], ['z']), node('Add', ['z', 'x'], ['y'])],
        initializers: [int64s('s', shape)],
        inputs: x1,
        outputs: open2,
      }),
    );
  const expanded = (side: number, ...after: readonly ReturnType<typeof node>[]) =>
    model({
      nodes: [node('Expand', ['x', 's'], ['a']), ...after],
      initializers: [int64s('s', [side, side])],
      inputs: x1,
      outputs: [valueInfo(after.at(-1)?.outputs[0] ?? 'a', undefined)],
    });
  const folded = model({
    nodes: [node('Expand', ['o', 's'], ['a']), node('ReduceMax', ['a'], ['b']), node('Add', ['b', 'x'], ['y'])],
    initializers: [int64s('s', [22_000, 22_000]), float32s('o', [1])],
    inputs: x1,
    outputs: open2,
  });
  const huge = [valueInfo('x', [2 ** 40, 2 ** 40])];
  return [
    hostile(
      'input of 2^80 elements',
      'admission.dims',
      model({ nodes: [node('Neg', ['x'], ['y'])], inputs: huge, outputs: y1 }),
    ),
    filled('constant of 10^12 elements', 'admission.tensor_too_large', [1_000_000n, 1_000_000n]),
    filled('constant whose sizes overflow', 'admission.dims', [4_294_967_296n, 4_294_967_296n]),
    filled('constant of negative size', 'admission.dims', [-5n, 4n]),
    hostile('Expand to 100 GB', 'admission.tensor_too_large', expanded(160_000)),
    hostile(
      'Expand to 3 GB, then a sum',
      'admission.tensor_too_large',
      expanded(28_000, node('ReduceSum', ['a'], ['y'])),
    ),
    hostile('constant folded to 2 GB', 'admission.tensor_too_large', folded),
    hostile('MatMul over 1.6 GB', 'admission.tensor_too_large', expanded(20_000, node('MatMul', ['a', 'a'], ['y']))),
    hostile('MatMul that spins for minutes', 'admission.compute', expanded(9000, node('MatMul', ['a', 'a'], ['y']))),
    hostile('many values alive at once', 'admission.memory', manyAlive()),
    hostile('cheap as written, everything alive when run from its output', 'admission.memory', dearDepthFirst()),
    hostile(
      'size from integers that wrap around',
      'admission.dynamic_shape',
      computedSize('int32', 65_536, 65_537, 'Mul'),
    ),
    hostile(
      'size from integers that doubles cannot tell apart',
      'admission.dynamic_shape',
      computedSize('int64', 2 ** 53, 1, 'Add'),
    ),
    hostile(
      'Expand by a running value',
      'admission.dynamic_shape',
      model({
        nodes: [node('Cast', ['x'], ['s'], [int('to', 7)]), node('Expand', ['x', 's'], ['y'])],
        inputs: x1,
        outputs: [valueInfo('y', ['n'])],
      }),
    ),
    hostile('outputs as many as the data say', 'admission.dynamic_shape', around(node('NonZero', ['x'], ['y']))),
    hostile(
      'input of unknown rank',
      'admission.dynamic_shape',
      model({ nodes: [node('Neg', ['x'], ['y'])], inputs: [valueInfo('x', undefined)], outputs: y1 }),
    ),
    hostile(
      'Gather out of range',
      'admission.index_out_of_range',
      model({
        nodes: [node('Gather', ['x', 'i'], ['y'])],
        initializers: [int64s('i', [1_000_000])],
        inputs: x1,
        outputs: [valueInfo('y', ['n'])],
      }),
    ),
    hostile(
      'output declared larger than it is',
      'admission.output_mismatch',
      model({ nodes: [node('Neg', ['x'], ['y'])], inputs: [valueInfo('x', ['n'])], outputs: [valueInfo('y', [1000])] }),
    ),
    hostile(
      'shapes that do not fit',
      'admission.invalid_node',
      model({
        nodes: [node('MatMul', ['x', 'w'], ['y'])],
        initializers: [float32s('w', [1, 2, 3], [3, 1])],
        inputs: [valueInfo('x', [2, 2])],
        outputs: open2,
      }),
    ),
    ...growing(),
  ];
}

/** Eight values of 196 MB, all read only at the end. */
function manyAlive(): Uint8Array {
  const names = Array.from({ length: 8 }, (_, k) => `v${k}`);
  return model({
    nodes: [
      ...names.map((name) => node('Expand', ['x', 's'], [name])),
      node('Sum', names, ['z']),
      node('ReduceMax', ['z'], ['y']),
    ],
    initializers: [int64s('s', [7000, 7000])],
    inputs: x1,
    outputs: [valueInfo('y', [1, 1])],
  });
}

/** Twelve values of 98 MB, each read by the next step of a chain: depth first, all are made before the chain begins. */
function dearDepthFirst(): Uint8Array {
  const steps = Array.from({ length: 12 }, (_, k) => [
    node('Expand', ['x', 's'], [`v${k}`]),
    node('Max', [`v${k}`, k === 0 ? 'x' : `r${k - 1}`], [`m${k}`]),
    node('ReduceMax', [`m${k}`], [`r${k}`]),
  ]);
  return model({
    nodes: steps.flat(),
    initializers: [int64s('s', [4950, 4950])],
    inputs: x1,
    outputs: [valueInfo('r11', undefined)],
  });
}

/** A constant computed from two others and used as a size. */
function computedSize(dtype: 'int32' | 'int64', a: number, b: number, opType: string): Uint8Array {
  const scalar = (name: string, value: number) =>
    dtype === 'int64' ? int64s(name, [value]) : rawTensor(name, 'int32', [1], Int32Array.of(value));
  return model({
    nodes: [
      node(opType, ['a', 'b'], ['c']),
      node('Cast', ['c'], ['s'], [int('to', 7)]),
      node('Expand', ['x', 's'], ['y']),
    ],
    initializers: [scalar('a', a), scalar('b', b)],
    inputs: x1,
    outputs: [valueInfo('y', ['n'])],
  });
}

/** Every other operator whose output can outgrow its inputs. */
function growing(): readonly HostileModel[] {
  const one = (
    name: string,
    nodes: Parameters<typeof model>[0]['nodes'],
    initializers: Parameters<typeof model>[0]['initializers'],
  ) =>
    hostile(
      name,
      'admission.tensor_too_large',
      model({
        nodes,
        ...(initializers === undefined ? {} : { initializers }),
        inputs: [valueInfo('x', [1, 1, 4, 4])],
        outputs: [valueInfo('y', undefined)],
      }),
    );
  const zero = (dtype: 'int64' | 'float32', value: number) =>
    dtype === 'int64' ? int64s('', [value], []) : float32s('', [value], []);
  return [
    one('Tile', [node('Tile', ['x', 'r'], ['y'])], [int64s('r', [50_000, 50_000, 1, 1])]),
    one('Pad', [node('Pad', ['x', 'p'], ['y'])], [int64s('p', [0, 0, 100_000, 100_000, 0, 0, 0, 0])]),
    one(
      'Range',
      [node('Range', ['a', 'b', 'c'], ['y'])],
      [
        { ...zero('int64', 0), name: 'a' },
        { ...zero('int64', 1e12), name: 'b' },
        { ...zero('int64', 1000), name: 'c' },
      ],
    ),
    one('Resize', [node('Resize', ['x', '', 'k'], ['y'])], [float32s('k', [1, 1, 1e5, 1e5])]),
    one(
      'OneHot',
      [node('Cast', ['x'], ['i'], [int('to', 7)]), node('OneHot', ['i', 'd', 'v'], ['y'])],
      [int64s('d', [1e9], []), float32s('v', [0, 1])],
    ),
    one(
      'Conv with padding',
      [node('Conv', ['x', 'w'], ['y'], [ints('pads', 100_000, 100_000, 0, 0)])],
      [float32s('w', [1], [1, 1, 1, 1])],
    ),
    one(
      'ConvTranspose',
      [node('ConvTranspose', ['x', 'w'], ['y'], [ints('strides', 50_000, 50_000)])],
      [float32s('w', [1], [1, 1, 1, 1])],
    ),
    one(
      'Gather',
      [node('Gather', ['x', 'i'], ['z']), node('Gather', ['z', 'i'], ['y'], [int('axis', 1)])],
      [rawTensor('i', 'int64', [40_000], new Uint8Array(320_000))],
    ),
    one('Concat', doubling(), []),
    one(
      'constant inside a node',
      [
        node('Constant', [], ['s'], [tensorAttribute('value', int64s('', [1e6, 1e6]))]),
        node('ConstantOfShape', ['s'], ['y']),
      ],
      [],
    ),
  ];
}

/** 16 elements doubled 30 times. */
function doubling(): Parameters<typeof model>[0]['nodes'] {
  return Array.from({ length: 30 }, (_, k) => {
    const from = k === 0 ? 'x' : `v${k - 1}`;
    return node('Concat', [from, from], [k === 29 ? 'y' : `v${k}`], [int('axis', 0)]);
  });
}
