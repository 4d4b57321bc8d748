import type { DType } from '../../model/tensor.ts';
import { codeOfDType } from '../proto/element-types.ts';
import { int, ints } from './attributes.ts';
import type { Value } from './graph-builder.ts';

/**
 * ONNX operators as functions over values, those that run on both the CPU and the WebGPU provider. Names and
 * meanings are ONNX's own (github.com/onnx/onnx/blob/main/docs/Operators.md); shapes broadcast as in NumPy.
 */

const binary =
  (opType: string) =>
  (a: Value, b: Value): Value =>
    a.graph.applyOne(opType, [a, b]);
const unary =
  (opType: string) =>
  (x: Value): Value =>
    x.graph.applyOne(opType, [x]);

export const add = binary('Add');
export const sub = binary('Sub');
export const mul = binary('Mul');
export const div = binary('Div');
export const pow = binary('Pow');
export const matmul = binary('MatMul');
export const equal = binary('Equal');
export const neg = unary('Neg');
export const sqrt = unary('Sqrt');
export const exp = unary('Exp');
export const log = unary('Log');
export const tanh = unary('Tanh');
export const sigmoid = unary('Sigmoid');
export const relu = unary('Relu');
export const identity = unary('Identity');

export function cast(x: Value, to: DType): Value {
  return x.graph.applyOne('Cast', [x], { to: int(codeOfDType(to)) });
}

/** One size may be -1: what is left. */
export function reshape(x: Value, dims: readonly number[]): Value {
  return x.graph.applyOne('Reshape', [x, x.graph.int64s(dims)]);
}

/** [d0, d1, ...] to [d0 * ... * d(axis-1), the rest]. */
export function flatten(x: Value, axis = 1): Value {
  return x.graph.applyOne('Flatten', [x], { axis: int(axis) });
}

export function transpose(x: Value, perm: readonly number[]): Value {
  return x.graph.applyOne('Transpose', [x], { perm: ints(perm) });
}

export function unsqueeze(x: Value, axes: readonly number[]): Value {
  return x.graph.applyOne('Unsqueeze', [x, x.graph.int64s(axes)]);
}

export function expand(x: Value, dims: readonly number[]): Value {
  return x.graph.applyOne('Expand', [x, x.graph.int64s(dims)]);
}

/** Elements `start` (inclusive) to `end` (exclusive) of one axis. */
export function slice(x: Value, axis: number, start: number, end: number): Value {
  const { graph } = x;
  return graph.applyOne('Slice', [x, graph.int64s([start]), graph.int64s([end]), graph.int64s([axis])]);
}

export function concat(xs: readonly [Value, ...Value[]], axis: number): Value {
  return xs[0].graph.applyOne('Concat', xs, { axis: int(axis) });
}

export function gather(x: Value, indices: Value, axis = 0): Value {
  return x.graph.applyOne('Gather', [x, indices], { axis: int(axis) });
}

export function reduceSum(x: Value, axes: readonly number[], keepDims = true): Value {
  return x.graph.applyOne('ReduceSum', [x, x.graph.int64s(axes)], { keepdims: int(keepDims ? 1 : 0) });
}

/** Axes are an attribute up to opset 17, an input after. */
export function reduceMax(x: Value, axes: readonly number[], keepDims = true): Value {
  const keepdims = int(keepDims ? 1 : 0);
  if (x.graph.opset < 18) return x.graph.applyOne('ReduceMax', [x], { axes: ints(axes), keepdims });
  return x.graph.applyOne('ReduceMax', [x, x.graph.int64s(axes)], { keepdims });
}

export function softmax(x: Value, axis = -1): Value {
  return x.graph.applyOne('Softmax', [x], { axis: int(axis) });
}

/** x [n, k] times w [k, m] plus b [m]. */
export function linear(x: Value, w: Value, b: Value): Value {
  return x.graph.applyOne('Gemm', [x, w, b]);
}

export interface ConvolutionOptions {
  readonly bias?: Value;
  /** The same on all sides; 0 by default. */
  readonly padding?: number;
  readonly stride?: number;
}

/** x [n, c, h, w], weights [features, c, kh, kw]. */
export function conv2d(x: Value, weights: Value, options: ConvolutionOptions = {}): Value {
  const { bias, padding = 0, stride = 1 } = options;
  return x.graph.applyOne('Conv', bias === undefined ? [x, weights] : [x, weights, bias], {
    kernel_shape: ints(weights.dims.slice(2).map(Number)),
    pads: ints([padding, padding, padding, padding]),
    strides: ints([stride, stride]),
  });
}

/** Largest of each `size` x `size` block. */
export function maxPool2d(x: Value, size: number): Value {
  return x.graph.applyOne('MaxPool', [x], { kernel_shape: ints([size, size]), strides: ints([size, size]) });
}
