import { strides, stridedIndices, broadcastDims, broadcastIndices } from './broadcast.ts';
import { type Fact, elements, valueFact } from './fact.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Rule, RuleContext } from './rule-context.ts';

/** The same elements in the same order under other sizes. */
function reshaped(fact: Fact, dims: readonly number[]): Fact {
  return { dtype: fact.dtype, dims, ...(fact.values === undefined ? {} : { values: fact.values }) };
}

/** The elements at `indices`, where they are known and few. */
export function picked(fact: Fact, dims: readonly number[], indices: () => readonly number[]): Fact {
  const { values } = fact;
  if (values === undefined || elements(dims) > LIMITS.onnx.constantElements) return { dtype: fact.dtype, dims };
  return valueFact(
    fact.dtype,
    dims,
    indices().map((index) => values[index] ?? NaN),
  );
}

/** Start and end of Shape's window, as Python slices clamp them. */
const shape: Rule = (node) => {
  const { dims } = node.input(0);
  const clamp = (at: number): number => Math.min(Math.max(at < 0 ? at + dims.length : at, 0), dims.length);
  const start = clamp(node.opset < 15 ? 0 : node.int('start', 0));
  const end = clamp(node.opset < 15 ? dims.length : node.int('end', dims.length));
  const window = dims.slice(start, Math.max(start, end));
  return [{ dtype: 'int64', dims: [window.length], values: window }];
};

const size: Rule = (node) => [valueFact('int64', [], [elements(node.input(0).dims)])];

/** 0 copies the input's size (unless allowzero), one -1 takes what is left. */
const reshape: Rule = (node) => {
  const x = node.input(0);
  const target = node.constant(1);
  const copyZero = node.opset < 14 || node.int('allowzero', 0) === 0;
  const dims = target.map((dim, k) => {
    if (dim === 0 && copyZero) return x.dims[k] ?? node.invalid('it copies a size that is not there');
    return dim;
  });
  const open = dims.indexOf(-1);
  if (dims.some((dim, k) => dim < 0 && k !== open)) node.invalid('its shape is not possible');
  if (open >= 0) {
    const rest = elements(dims.filter((_, k) => k !== open));
    const left = rest === 0 ? 0 : elements(x.dims) / rest;
    dims[open] = Number.isInteger(left) ? left : node.invalid('its shape does not divide its input');
  }
  if (elements(dims) !== elements(x.dims)) node.invalid('its shape has another number of elements than its input');
  return [reshaped(x, dims)];
};

const flatten: Rule = (node) => {
  const x = node.input(0);
  const axis = node.int('axis', 1);
  const at = axis === x.dims.length ? axis : node.axis(axis, Math.max(1, x.dims.length));
  return [reshaped(x, [elements(x.dims.slice(0, at)), elements(x.dims.slice(at))])];
};

const squeeze: Rule = (node) => {
  const x = node.input(0);
  const axes = node.intsFrom('axes', 1, 13);
  const dropped = new Set(axes === undefined ? undefined : node.axes(axes, x.dims.length));
  for (const axis of dropped) if (x.dims[axis] !== 1) node.invalid('it drops a size that is not 1');
  return [
    reshaped(
      x,
      x.dims.filter((dim, axis) => (axes === undefined ? dim !== 1 : !dropped.has(axis))),
    ),
  ];
};

const unsqueeze: Rule = (node) => {
  const x = node.input(0);
  const axes = node.intsFrom('axes', 1, 13) ?? node.invalid('its axes are missing');
  const rank = x.dims.length + axes.length;
  if (rank > LIMITS.onnx.rank) node.invalid('its result has too many dimensions');
  const added = new Set(node.axes(axes, rank));
  const rest = x.dims.values();
  return [
    reshaped(
      x,
      Array.from({ length: rank }, (_, axis) => (added.has(axis) ? 1 : (rest.next().value ?? 1))),
    ),
  ];
};

const transpose: Rule = (node) => {
  const x = node.input(0);
  const order = node.ints('perm') ?? [...x.dims.keys()].toReversed();
  if (order.length !== x.dims.length) node.invalid('perm does not fit its input');
  const perm = node.axes(order, x.dims.length);
  const own = strides(x.dims);
  const pick = (list: readonly number[]): number[] => perm.map((axis) => list[axis] ?? 0);
  return [picked(x, pick(x.dims), () => stridedIndices(pick(x.dims), pick(own), 0))];
};

/** Broadcasting both ways: the result can be larger than the shape asked for, never smaller. */
const expand: Rule = (node) => {
  const x = node.input(0);
  const target = node.constant(1);
  if (target.some((dim) => dim < 0)) node.invalid('its shape is not possible');
  const dims = broadcastDims(x.dims, target) ?? node.invalid('its input does not fit its shape');
  return [picked(x, dims, () => broadcastIndices(x.dims, dims))];
};

const tile: Rule = (node) => {
  const x = node.input(0);
  const repeats = node.constant(1);
  if (repeats.length !== x.dims.length || repeats.some((count) => count < 0)) node.invalid('its repeats do not fit');
  return [{ dtype: x.dtype, dims: x.dims.map((dim, axis) => dim * (repeats[axis] ?? 1)) }];
};

/** DepthToSpace and SpaceToDepth move a square block between the channel and both spatial sizes. */
function blocks(toSpace: boolean): Rule {
  return (node: RuleContext) => {
    const [batch = 0, channels = 0, height = 0, width = 0] = node.requireRank(0, 4, 4);
    const block = node.requiredInt('blocksize');
    const factor = toSpace ? block : 1 / block;
    const dims = [batch, Math.round(channels / factor ** 2), Math.round(height * factor), Math.round(width * factor)];
    if (block < 1 || elements(dims) !== elements([batch, channels, height, width]))
      node.invalid('its blocks do not fit');
    return [{ dtype: node.input(0).dtype, dims }];
  };
}

export const reshapingRules: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ['Shape', shape],
  ['Size', size],
  ['Reshape', reshape],
  ['Flatten', flatten],
  ['Squeeze', squeeze],
  ['Unsqueeze', unsqueeze],
  ['Transpose', transpose],
  ['Expand', expand],
  ['Tile', tile],
  ['DepthToSpace', blocks(true)],
  ['SpaceToDepth', blocks(false)],
]);
