import { float32s, int, int64s, ints, node, rawTensor, tensorAttribute, text } from '#support/onnx-models.ts';
import type { DType } from '#shared/model/tensor.ts';
import type { Attribute, Node, TensorProto } from '#shared/onnx/proto/types.ts';

/** One small graph over INPUTS: what admission says of it, the runtime must do. */
export interface Case {
  readonly name: string;
  readonly nodes: readonly Node[];
  readonly weights?: readonly TensorProto[];
  readonly opset?: number;
}

export const INPUTS: Readonly<Record<string, { readonly dtype: DType; readonly dims: readonly number[] }>> = {
  x: { dtype: 'float32', dims: [2, 3, 8, 8] },
  v: { dtype: 'float32', dims: [4, 6] },
  i: { dtype: 'int64', dims: [4, 6] },
  b: { dtype: 'bool', dims: [4, 6] },
  q: { dtype: 'uint8', dims: [2, 3, 8, 8] },
};

export const cases: Case[] = [];

function one(
  opType: string,
  inputs: readonly string[],
  attributes: readonly Attribute[] = [],
  weights: readonly TensorProto[] = [],
  options: { readonly opset?: number; readonly outputs?: number; readonly note?: string } = {},
): void {
  const outputs = Array.from({ length: options.outputs ?? 1 }, (_, k) => `y${k}`);
  cases.push({
    name: `${opType}${options.note === undefined ? '' : `, ${options.note}`}${options.opset === undefined ? '' : ` (opset ${options.opset})`}`,
    nodes: [node(opType, inputs, outputs, attributes)],
    weights,
    ...(options.opset === undefined ? {} : { opset: options.opset }),
  });
}

const ramp = (name: string, ...dims: number[]): TensorProto => {
  const count = dims.reduce((product, dim) => product * dim, 1);
  return float32s(
    name,
    Array.from({ length: count }, (_, k) => ((k * 37) % 19) / 10 - 0.5),
    dims,
  );
};
const zero = (name: string): TensorProto => rawTensor(name, 'uint8', [], Uint8Array.of(0));
const scale = (name: string): TensorProto => float32s(name, [0.5], []);

const UNARY =
  'Exp Log Tanh Sigmoid Relu Erf Reciprocal Round Sin Cos Tan Asin Acos Atan Sinh Cosh ' +
  'Asinh Acosh Atanh Softplus Softsign Elu Selu Celu LeakyRelu Identity ThresholdedRelu HardSigmoid HardSwish Shrink Neg Abs ' +
  'Sign Floor Ceil Sqrt IsNaN IsInf Softmax LogSoftmax Hardmax LpNormalization Trilu Clip Size Shape Flatten';
for (const opType of UNARY.split(' ')) {
  one(opType, ['v']);
}
for (const opType of ['Add', 'Sub', 'Mul', 'Div', 'Max', 'Min', 'Sum', 'Mean', 'Pow', 'PRelu'])
  one(opType, ['v', 'w'], [], [ramp('w', 6)]);
for (const opType of ['Equal', 'Less', 'LessOrEqual', 'Greater', 'GreaterOrEqual'])
  one(opType, ['v', 'w'], [], [ramp('w', 1, 6)]);
for (const opType of ['And', 'Or', 'Xor']) one(opType, ['b', 'b']);
for (const opType of ['BitwiseAnd', 'BitwiseOr', 'BitwiseXor']) one(opType, ['i', 'i'], [], [], { opset: 18 });
one('BitwiseNot', ['i'], [], [], { opset: 18 });
one('BitShift', ['q', 'q'], [text('direction', 'LEFT')]);
one('Not', ['b']);
one('Gelu', ['v'], [], [], { opset: 20 });
one('Mish', ['v'], [], [], { opset: 18 });
one('Mod', ['v', 'w'], [int('fmod', 1)], [ramp('w', 6)]);
one('Add', ['w', 'v'], [], [ramp('w', 5, 1, 1)], { note: 'broadcast both ways' });
one('Where', ['b', 'v', 'w'], [], [ramp('w', 3, 1, 1)]);
one('Cast', ['v'], [int('to', 10)]);
one('CastLike', ['v', 'i']);
one('Dropout', ['v'], [], [], { outputs: 2 });

one('BatchNormalization', ['x', 'c', 'c', 'c', 'p'], [], [ramp('c', 3), float32s('p', [1, 2, 3])]);
one('InstanceNormalization', ['x', 'c', 'c'], [], [ramp('c', 3)]);
one('LayerNormalization', ['x', 'c'], [int('axis', -1)], [ramp('c', 8)], { outputs: 3 });
one('LayerNormalization', ['x', 'c'], [int('axis', 2)], [ramp('c', 8, 8)], { outputs: 2, note: 'from axis 2' });
one('GroupNormalization', ['x', 'c', 'c'], [int('num_groups', 3)], [ramp('c', 3)], { opset: 18 });
one('LRN', ['x'], [int('size', 3)]);
one('MeanVarianceNormalization', ['x']);

one('Conv', ['x', 'w'], [], [ramp('w', 4, 3, 3, 3)]);
one(
  'Conv',
  ['x', 'w'],
  [ints('pads', 1, 2, 0, 1), ints('strides', 2, 3), ints('dilations', 2, 1)],
  [ramp('w', 4, 3, 3, 3)],
  { note: 'all attributes' },
);
one('Conv', ['x', 'w'], [text('auto_pad', 'SAME_UPPER'), ints('strides', 3, 3)], [ramp('w', 4, 3, 2, 2)], {
  note: 'SAME_UPPER',
});
one('Conv', ['x', 'w'], [text('auto_pad', 'VALID')], [ramp('w', 4, 3, 5, 5)], { note: 'VALID' });
one('Conv', ['x', 'w'], [int('group', 3)], [ramp('w', 6, 1, 3, 3)], { note: 'groups' });
one('ConvTranspose', ['x', 'w'], [ints('strides', 2, 2)], [ramp('w', 3, 5, 3, 3)]);
one(
  'ConvTranspose',
  ['x', 'w'],
  [ints('strides', 2, 3), ints('pads', 1, 0, 0, 1), ints('output_padding', 1, 0), ints('dilations', 2, 1)],
  [ramp('w', 3, 2, 3, 3)],
  { note: 'all attributes' },
);
one('ConvTranspose', ['x', 'w'], [ints('strides', 2, 2), text('auto_pad', 'SAME_UPPER')], [ramp('w', 3, 2, 3, 3)], {
  note: 'SAME_UPPER',
});
one('ConvTranspose', ['x', 'w'], [ints('strides', 2, 2), ints('output_shape', 16, 16)], [ramp('w', 3, 2, 3, 3)], {
  note: 'output_shape',
});
one('ConvInteger', ['q', 'w', 'z'], [], [rawTensor('w', 'uint8', [4, 3, 3, 3], new Uint8Array(108)), zero('z')]);
one(
  'QLinearConv',
  ['q', 's', 'z', 'w', 's', 'z', 's', 'z'],
  [],
  [rawTensor('w', 'uint8', [4, 3, 3, 3], new Uint8Array(108)), zero('z'), scale('s')],
);
one('MaxPool', ['x'], [ints('kernel_shape', 3, 3), ints('strides', 2, 2), int('ceil_mode', 1)], [], { outputs: 2 });
one('MaxPool', ['x'], [ints('kernel_shape', 3, 2), ints('pads', 1, 1, 1, 0), ints('dilations', 2, 1)], [], {
  note: 'pads and dilations',
});
one('AveragePool', ['x'], [ints('kernel_shape', 3, 3), text('auto_pad', 'SAME_LOWER'), ints('strides', 2, 2)]);
one('LpPool', ['x'], [ints('kernel_shape', 2, 2)]);
for (const opType of ['GlobalAveragePool', 'GlobalMaxPool', 'GlobalLpPool']) one(opType, ['x']);

one('MatMul', ['v', 'w'], [], [ramp('w', 6, 5)]);
one('MatMul', ['x', 'w'], [], [ramp('w', 5, 1, 1, 8, 7)], { note: 'broadcast' });
one('MatMul', ['v', 'w'], [], [ramp('w', 6)], { note: 'vector' });
one('MatMul', ['w', 'v'], [], [ramp('w', 4)], { note: 'vector first' });
one('MatMulInteger', ['q', 'w'], [], [rawTensor('w', 'uint8', [8, 5], new Uint8Array(40))]);
one(
  'QLinearMatMul',
  ['q', 's', 'z', 'w', 's', 'z', 's', 'z'],
  [],
  [rawTensor('w', 'uint8', [8, 5], new Uint8Array(40)), zero('z'), scale('s')],
);
one('Gemm', ['v', 'w', 'c'], [int('transB', 1)], [ramp('w', 5, 6), ramp('c', 5)]);
one('Gemm', ['v', 'w'], [int('transA', 1)], [ramp('w', 4, 5)], { note: 'transA' });
one('Einsum', ['v', 'w'], [text('equation', 'ij,jk->ki')], [ramp('w', 6, 5)]);
one('Einsum', ['v', 'w'], [text('equation', 'ij,jk')], [ramp('w', 6, 5)], { note: 'implicit output' });
one('Einsum', ['v', 'w', 'w'], [text('equation', 'ij,jk,jl->ikl')], [ramp('w', 6, 5)], { note: 'three terms' });

for (const opType of [
  'ReduceMean',
  'ReduceMax',
  'ReduceMin',
  'ReduceL1',
  'ReduceL2',
  'ReduceLogSum',
  'ReduceLogSumExp',
  'ReduceSumSquare',
  'ReduceProd',
]) {
  one(opType, ['x'], [ints('axes', 1, -1), int('keepdims', 0)]);
  one(opType, ['x', 'a'], [], [int64s('a', [2])], { opset: 18 });
}
one('ReduceSum', ['x', 'a'], [int('keepdims', 0)], [int64s('a', [0, 2])]);
one('ReduceSum', ['x'], [ints('axes', 3)], [], { opset: 11 });
one('ReduceSum', ['x'], [], [], { note: 'all axes' });
one('ReduceSum', ['x'], [int('noop_with_empty_axes', 1)], [], { note: 'no axes' });
one('ArgMax', ['x'], [int('axis', 1)]);
one('ArgMin', ['x'], [int('axis', -1), int('keepdims', 0)]);
one('TopK', ['v', 'k'], [int('axis', 0)], [int64s('k', [2])], { outputs: 2 });
one('TopK', ['v'], [int('k', 2)], [], { outputs: 2, opset: 9 });

one('Shape', ['x'], [int('start', 1), int('end', -1)], [], { note: 'part' });
one('Reshape', ['x', 's'], [], [int64s('s', [0, -1, 4])]);
one('Flatten', ['x'], [int('axis', -1)], [], { note: 'negative axis' });
one('Flatten', ['x'], [int('axis', 4)], [], { note: 'last axis' });
one('Squeeze', ['w', 'a'], [], [ramp('w', 1, 3, 1), int64s('a', [-1])]);
one('Squeeze', ['w'], [ints('axes', 0)], [ramp('w', 1, 3, 1)], { opset: 11 });
one('Squeeze', ['w'], [], [ramp('w', 1, 3, 1)], { note: 'all' });
one('Unsqueeze', ['v', 'a'], [], [int64s('a', [0, -1])]);
one('Unsqueeze', ['v'], [ints('axes', 1)], [], { opset: 11 });
one('Transpose', ['x'], [ints('perm', 0, 2, 3, 1)]);
one('Transpose', ['x'], [], [], { note: 'reversed' });
one('Expand', ['w', 's'], [], [ramp('w', 3, 1), int64s('s', [2, 1, 6])]);
one('Tile', ['v', 'r'], [], [int64s('r', [2, 3])]);
one('DepthToSpace', ['w'], [int('blocksize', 2)], [ramp('w', 1, 8, 2, 3)]);
one('SpaceToDepth', ['x'], [int('blocksize', 4)]);

one('Concat', ['v', 'w'], [int('axis', 1)], [ramp('w', 4, 3)]);
one('Split', ['v', 's'], [int('axis', 1)], [int64s('s', [1, 5])], { outputs: 2 });
one('Split', ['v'], [int('axis', 1)], [], { outputs: 3 });
one('Split', ['x'], [int('axis', 1), int('num_outputs', 2)], [], { outputs: 2, opset: 18 });
one('Split', ['v'], [int('axis', 1), ints('split', 2, 4)], [], { outputs: 2, opset: 11 });
one(
  'Slice',
  ['x', 'a', 'z', 'ax', 'st'],
  [],
  [int64s('a', [1, -1]), int64s('z', [9223372036854775807n, -7]), int64s('ax', [2, 3]), int64s('st', [2, -3])],
);
one('Slice', ['x', 'a', 'z'], [], [int64s('a', [-9, 5, 3]), int64s('z', [1, 2, -1])], { note: 'clamped' });
one('Slice', ['x'], [ints('starts', 1), ints('ends', 2 ** 63), ints('axes', 3)], [], { opset: 9 });
one('Pad', ['v', 'p'], [], [int64s('p', [1, 0, 2, -1])]);
one('Pad', ['v', 'p', '', 'a'], [], [int64s('p', [1, 2]), int64s('a', [1])], { opset: 18 });
one('Pad', ['v'], [ints('pads', 1, 0, 0, 2)], [], { opset: 9 });
one('Gather', ['x', 'n'], [int('axis', 3)], [int64s('n', [0, -1, 2, 3, 3, 1], [2, 3])]);
one('GatherElements', ['v', 'i'], []);
one('GatherND', ['x', 'n'], [], [int64s('n', [0, 1, 1, 2], [2, 2])]);
one('GatherND', ['x', 'n'], [int('batch_dims', 1)], [int64s('n', [0, 1], [2, 1])], { note: 'batched' });
one('OneHot', ['i', 'd', 'w'], [int('axis', 1)], [int64s('d', [5], []), float32s('w', [0, 1])]);
one('ScatterElements', ['v', 'i', 'v'], [int('axis', 0)]);
one('ScatterND', ['v', 'n', 'w'], [], [int64s('n', [0, 2], [2, 1]), ramp('w', 2, 6)]);
one('Scatter', ['v', 'i', 'v'], [int('axis', 0)], [], { opset: 9 });
one('CumSum', ['v', 'a'], [], [int64s('a', [1], [])]);
one('ReverseSequence', ['v', 'n'], [int('batch_axis', 0), int('time_axis', 1)], [int64s('n', [1, 2, 3, 4])]);

one('Constant', [], [tensorAttribute('value', int64s('', [1, 2]))]);
one('Constant', [], [ints('value_ints', 1, 2, 3)], [], { note: 'ints' });
one('Constant', [], [{ name: 'value_float', type: 'float', value: 1 }], [], { note: 'float' });
one('ConstantOfShape', ['s'], [tensorAttribute('value', int64s('', [7]))], [int64s('s', [2, 0, 3])]);
one('Range', ['a', 'z', 'd'], [], [int64s('a', [10], []), int64s('z', [-3], []), int64s('d', [-4], [])]);
one('Range', ['a', 'z', 'd'], [], [float32s('a', [0], []), float32s('z', [1], []), float32s('d', [0.1], [])], {
  note: 'float',
});
one('EyeLike', ['v'], [int('dtype', 7)]);
one('Resize', ['x', '', 'k'], [], [float32s('k', [1, 1, 0.6, 2.3])]);
one('Resize', ['x', '', '', 'k'], [text('mode', 'linear')], [int64s('k', [2, 3, 5, 17])], { note: 'sizes' });
one('Resize', ['x', '', 'k'], [ints('axes', 2, 3)], [float32s('k', [1.7, 2.3])], { opset: 18 });
one('Resize', ['x', 'k'], [], [float32s('k', [1, 1, 2, 2])], { opset: 10 });
one('Upsample', ['x', 'k'], [], [float32s('k', [1, 1, 2, 3])], { opset: 9 });
one('Upsample', ['x'], [{ name: 'scales', type: 'floats', value: [1, 1, 2, 3] }], [], { opset: 8 });
one('GridSample', ['x', 'g'], [], [ramp('g', 2, 5, 6, 2)]);

for (const [opType, gates] of [
  ['RNN', 1],
  ['GRU', 3],
  ['LSTM', 4],
] as const) {
  const weights = [ramp('s', 5, 2, 6), ramp('w', 1, gates * 4, 6), ramp('r', 1, gates * 4, 4)];
  one(opType, ['s', 'w', 'r'], [int('hidden_size', 4)], weights, { outputs: gates === 4 ? 3 : 2 });
}
one('QuantizeLinear', ['x', 's', 'z'], [], [scale('s'), rawTensor('z', 'int8', [], Uint8Array.of(0))]);
one('DequantizeLinear', ['q', 's'], [], [scale('s')]);
one('DynamicQuantizeLinear', ['x'], [], [], { outputs: 3 });

cases.push({
  name: 'sizes computed in the graph: a masked broadcast as exporters write it',
  nodes: [
    node('Shape', ['v'], ['s']),
    node('ConstantOfShape', ['two'], ['ones'], [tensorAttribute('value', int64s('', [1]))]),
    node('Equal', ['wanted', 'minus'], ['open']),
    node('Where', ['open', 'ones', 'wanted'], ['filled']),
    node('Gather', ['s', 'last'], ['width']),
    node('Mul', ['width', 'three'], ['wide']),
    node('Cast', ['wide'], ['wide32'], [int('to', 6)]),
    node('Cast', ['wide32'], ['wide64'], [int('to', 7)]),
    node('Concat', ['filled', 'wide64'], ['target'], [int('axis', 0)]),
    node('Slice', ['target', 'from', 'to'], ['part']),
    node('Div', ['part', 'halves'], ['half']),
    node('Expand', ['one', 'half'], ['y0']),
  ],
  weights: [
    int64s('two', [2]),
    int64s('wanted', [-1, 8]),
    int64s('minus', [-1]),
    int64s('last', [1]),
    int64s('three', [3]),
    int64s('from', [1]),
    int64s('to', [3]),
    int64s('halves', [3, 4]),
    ramp('one', 1, 1),
  ],
});
