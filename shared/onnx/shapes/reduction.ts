import { type Fact, elements, valueFact } from './fact.ts';
import type { Rule, RuleContext } from './rule-context.ts';

function reducedDims(node: RuleContext, axes: readonly number[] | undefined, keep: boolean): number[] {
  const { dims } = node.input(0);
  const all = axes === undefined || axes.length === 0;
  if (all && node.int('noop_with_empty_axes', 0) === 1) return [...dims];
  const reduced = new Set(all ? dims.keys() : node.axes(axes, dims.length));
  return dims.flatMap((dim, axis) => (reduced.has(axis) ? (keep ? [1] : []) : [dim]));
}

/** ReduceSum takes its axes as an input from opset 13, the others from 18. */
function reduce(axesSince: number, total?: (values: readonly number[]) => number): Rule {
  return (node) => {
    const x = node.input(0);
    const dims = reducedDims(node, node.intsFrom('axes', 1, axesSince), node.int('keepdims', 1) !== 0);
    return [valueFact(x.dtype, dims, totalOf(x, dims, total))];
  };
}

/** Followed by value only down to one element of integers: sizes multiplied or added up. */
function totalOf(x: Fact, dims: readonly number[], total: ((values: readonly number[]) => number) | undefined) {
  if (total === undefined || x.values === undefined || elements(dims) !== 1 || !x.dtype.startsWith('int'))
    return undefined;
  if (!x.values.every(Number.isSafeInteger)) return undefined;
  const result = total(x.values);
  return Number.isSafeInteger(result) ? [result] : undefined;
}

const argument: Rule = (node) => {
  const { dims } = node.input(0);
  const axis = node.axis(node.int('axis', 0), dims.length);
  const keep = node.int('keepdims', 1) !== 0;
  return [{ dtype: 'int64', dims: dims.flatMap((dim, k) => (k === axis ? (keep ? [1] : []) : [dim])) }];
};

const topK: Rule = (node) => {
  const { dtype, dims } = node.input(0);
  const axis = node.axis(node.int('axis', -1), dims.length);
  const k = node.opset < 10 ? node.requiredInt('k') : node.constant(1)[0];
  if (k === undefined || k < 0 || k > (dims[axis] ?? 0)) return node.invalid('k does not fit the axis');
  const out = dims.map((dim, at) => (at === axis ? k : dim));
  node.flops += elements(dims) * Math.ceil(Math.log2((dims[axis] ?? 0) + 2));
  return [
    { dtype, dims: out },
    { dtype: 'int64', dims: out },
  ];
};

const names = ['ReduceMean', 'ReduceMax', 'ReduceMin', 'ReduceL1', 'ReduceL2', 'ReduceLogSum', 'ReduceLogSumExp'];

export const reductionRules: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ...[...names, 'ReduceSumSquare'].map((name): [string, Rule] => [name, reduce(18)]),
  ['ReduceSum', reduce(13, (values) => values.reduce((sum, value) => sum + value, 0))],
  ['ReduceProd', reduce(18, (values) => values.reduce((product, value) => product * value, 1))],
  ['ArgMax', argument],
  ['ArgMin', argument],
  ['TopK', topK],
]);
