import { strides, stridedIndices } from './broadcast.ts';
import { type Fact, valueFact } from './fact.ts';
import { likeFirst } from './elementwise.ts';
import { picked } from './reshaping.ts';
import type { Rule, RuleContext } from './rule-context.ts';

const concat: Rule = (node) => {
  const { inputs } = node;
  const rank = node.requireRank(0, 1).length;
  const axis = node.axis(node.requiredInt('axis'), rank);
  for (const [index, { dims }] of inputs.entries()) {
    if (dims.length !== rank || dims.some((dim, k) => k !== axis && dim !== inputs[0]?.dims[k])) {
      node.invalid(`input ${index} has other sizes than input 0`);
    }
  }
  const dims = node.input(0).dims.map((dim, k) => {
    return k === axis ? inputs.reduce((sum, fact) => sum + (fact.dims[axis] ?? 0), 0) : dim;
  });
  // By value only in one dimension: that is how shapes are put together.
  const known = rank === 1 && inputs.every((fact) => fact.values !== undefined);
  return [
    valueFact(node.sameDType(...inputs.keys()), dims, known ? inputs.flatMap((fact) => fact.values ?? []) : undefined),
  ];
};

const split: Rule = (node) => {
  const x = node.input(0);
  const axis = node.axis(node.int('axis', 0), x.dims.length);
  const whole = x.dims[axis] ?? 0;
  const count = node.node.outputs.length;
  const sizes = node.intsFrom('split', 1, 13) ?? evenParts(node, whole, count);
  if (
    sizes.length !== count ||
    sizes.some((size) => size < 0) ||
    sizes.reduce((sum, size) => sum + size, 0) !== whole
  ) {
    node.invalid('its parts do not add up');
  }
  let start = 0;
  return sizes.map((size) => {
    const from = start;
    start += size;
    return window(x, axis, from, size);
  });
};

/** From opset 18 the last part may be smaller; before, parts are equal. */
function evenParts(node: RuleContext, whole: number, count: number): number[] {
  const parts = node.opset < 18 ? count : node.int('num_outputs', count);
  if (parts < 1 || parts !== count) node.invalid('num_outputs and its outputs disagree');
  const size = Math.ceil(whole / parts);
  if (node.opset < 18 && size * parts !== whole) node.invalid('its parts are not equal');
  return Array.from({ length: parts }, (_, k) => Math.min(size, Math.max(0, whole - k * size)));
}

function window(x: Fact, axis: number, start: number, size: number): Fact {
  const dims = x.dims.map((dim, k) => (k === axis ? size : dim));
  const own = strides(x.dims);
  return picked(x, dims, () => stridedIndices(dims, own, start * (own[axis] ?? 1)));
}

/** Python slices; opset 10 moved starts, ends, axes and steps to inputs. */
const slice: Rule = (node) => {
  const x = node.input(0);
  const rank = x.dims.length;
  const starts = node.intsFrom('starts', 1, 10) ?? node.invalid('starts are missing');
  const ends = node.intsFrom('ends', 2, 10) ?? node.invalid('ends are missing');
  const axes = node.axes(node.intsFrom('axes', 3, 10) ?? [...starts.keys()], rank);
  const steps = node.opset < 10 ? undefined : node.intsFrom('', 4, 10);
  if (ends.length !== starts.length || axes.length !== starts.length) node.invalid('starts, ends and axes disagree');
  const dims = [...x.dims];
  const own = strides(x.dims);
  let offset = 0;
  for (const [k, axis] of axes.entries()) {
    const part = range(node, x.dims[axis] ?? 0, starts[k] ?? 0, ends[k] ?? 0, steps?.[k] ?? 1);
    dims[axis] = part.count;
    offset += part.start * (own[axis] ?? 1);
    own[axis] = (own[axis] ?? 1) * part.step;
  }
  return [picked(x, dims, () => stridedIndices(dims, own, offset))];
};

function range(node: RuleContext, size: number, from: number, to: number, step: number) {
  if (step === 0) node.invalid('a step is 0');
  const clamp = (at: number, low: number, high: number): number =>
    Math.min(Math.max(at < 0 ? at + size : at, low), high);
  const start = step > 0 ? clamp(from, 0, size) : clamp(from, 0, size - 1);
  const end = step > 0 ? clamp(to, 0, size) : clamp(to, -1, size - 1);
  return { start, step, count: Math.max(0, Math.ceil((end - start) / step)) };
}

/** Reflection and edges cannot make more than the pads say, so every mode has the same size. */
const pad: Rule = (node) => {
  const x = node.input(0);
  const rank = x.dims.length;
  const pads = node.intsFrom('pads', 1, 11) ?? node.invalid('pads are missing');
  const axesInput = node.opset >= 18 && node.optional(3) !== undefined ? node.constant(3) : [...x.dims.keys()];
  const axes = node.axes(axesInput, rank);
  if (pads.length !== axes.length * 2) node.invalid('pads do not fit its input');
  const dims = [...x.dims];
  for (const [k, axis] of axes.entries())
    dims[axis] = (dims[axis] ?? 0) + (pads[k] ?? 0) + (pads[k + axes.length] ?? 0);
  return [{ dtype: x.dtype, dims }];
};

const gather: Rule = (node) => {
  const x = node.input(0);
  const indices = node.input(1);
  const axis = node.axis(node.int('axis', 0), x.dims.length);
  const size = x.dims[axis] ?? 0;
  for (const index of indices.values ?? []) if (index < -size || index >= size) node.outOfRange(index, size);
  const dims = [...x.dims.slice(0, axis), ...indices.dims, ...x.dims.slice(axis + 1)];
  const at = indices.values?.map((index) => (index < 0 ? index + size : index));
  const values = x.values;
  const known = x.dims.length === 1 && values !== undefined ? at?.map((index) => values[index] ?? NaN) : undefined;
  return [valueFact(x.dtype, dims, known)];
};

const gatherElements: Rule = (node) => {
  const rank = node.input(0).dims.length;
  return [{ dtype: node.input(0).dtype, dims: node.requireRank(1, rank, rank) }];
};

const gatherND: Rule = (node) => {
  const x = node.input(0);
  const indices = node.requireRank(1, 1);
  const batch = node.int('batch_dims', 0);
  const depth = indices.at(-1) ?? 0;
  if (batch < 0 || batch >= indices.length || batch + depth > x.dims.length) node.invalid('its indices do not fit');
  return [{ dtype: x.dtype, dims: [...indices.slice(0, -1), ...x.dims.slice(batch + depth)] }];
};

/** The depth is a value: one more size of the output. */
const oneHot: Rule = (node) => {
  const indices = node.input(0);
  const depth = node.constant(1)[0] ?? node.invalid('its depth is missing');
  if (!Number.isInteger(depth) || depth < 1) node.invalid('its depth is not possible');
  const axis = node.axis(node.int('axis', -1), indices.dims.length + 1);
  return [{ dtype: node.input(2).dtype, dims: indices.dims.toSpliced(axis, 0, depth) }];
};

export const indexingRules: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ['Concat', concat],
  ['Split', split],
  ['Slice', slice],
  ['Pad', pad],
  ['Gather', gather],
  ['GatherElements', gatherElements],
  ['GatherND', gatherND],
  ['OneHot', oneHot],
  ['Scatter', likeFirst],
  ['ScatterElements', likeFirst],
  ['ScatterND', likeFirst],
  ['Trilu', likeFirst],
  ['CumSum', likeFirst],
  ['ReverseSequence', likeFirst],
]);
