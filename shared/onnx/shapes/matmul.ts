import type { DType } from '../../model/tensor.ts';
import { broadcastDims } from './broadcast.ts';
import { elements } from './fact.ts';
import type { Rule, RuleContext } from './rule-context.ts';

/** NumPy's matmul: vectors are promoted, leading sizes broadcast. */
export function matmulDims(a: readonly number[], b: readonly number[]): { dims: number[]; inner: number } | undefined {
  if (a.length === 0 || b.length === 0) return undefined;
  const left = a.length === 1 ? [1, ...a] : a;
  const right = b.length === 1 ? [...b, 1] : b;
  const inner = left.at(-1) ?? 0;
  const lead = broadcastDims(left.slice(0, -2), right.slice(0, -2));
  if (lead === undefined || right.at(-2) !== inner) return undefined;
  if (a.length > 1) lead.push(left.at(-2) ?? 0);
  if (b.length > 1) lead.push(right.at(-1) ?? 0);
  return { dims: lead, inner };
}

function matmul(rightAt: number, dtypeOf: (node: RuleContext) => DType): Rule {
  return (node) => {
    const product =
      matmulDims(node.input(0).dims, node.input(rightAt).dims) ?? node.invalid('the shapes of its inputs do not fit');
    node.flops += 2 * elements(product.dims) * product.inner;
    return [{ dtype: dtypeOf(node), dims: product.dims }];
  };
}

const gemm: Rule = (node) => {
  const a = node.requireRank(0, 2, 2);
  const b = node.requireRank(1, 2, 2);
  const [rows = 0, inner = 0] = node.int('transA', 0) === 0 ? a : a.toReversed();
  const [innerB = 0, columns = 0] = node.int('transB', 0) === 0 ? b : b.toReversed();
  if (inner !== innerB) node.invalid('the shapes of its inputs do not fit');
  const dims = [rows, columns];
  const bias = node.optional(2);
  if (bias !== undefined && broadcastDims(bias.dims, dims)?.join() !== dims.join())
    node.invalid('its bias does not fit');
  node.flops += 2 * rows * columns * inner;
  return [{ dtype: node.sameDType(0, 1), dims }];
};

/** Every letter has one size; the work is at most the product of all of them. */
const einsum: Rule = (node) => {
  const equation = node.string('equation', '').replaceAll(' ', '');
  const [left = '', right] = equation.split('->');
  const terms = left.split(',');
  if (!/^[a-zA-Z,]*(->[a-zA-Z]*)?$/.test(equation) || terms.length !== node.inputCount) {
    node.invalid('its equation is not one that is taken here (letters only, one term an input)');
  }
  const sizes = new Map<string, number>();
  for (const [index, term] of terms.entries()) {
    const { dims } = node.input(index);
    if (dims.length !== term.length) node.invalid('its equation and inputs disagree');
    for (const [k, letter] of Array.from(term).entries()) {
      const size = dims[k] ?? 0;
      if ((sizes.get(letter) ?? size) !== size) node.invalid('its equation and inputs disagree');
      sizes.set(letter, size);
    }
  }
  const once = [...sizes.keys()].filter((letter) => left.split(letter).length === 2).sort();
  const output = right === undefined ? once : Array.from(right);
  const dims = output.map((letter) => sizes.get(letter) ?? node.invalid('its equation names an unknown letter'));
  const space = elements([...sizes.values()]);
  node.flops += 2 * space * terms.length;
  // The runtime contracts pairwise over transposed copies; from three terms on an intermediate can span every letter.
  node.scratchBytes += 4 * (terms.length <= 2 ? elements(dims) + node.inputElements : space);
  return [{ dtype: node.sameDType(...terms.keys()), dims }];
};

export const matmulRules: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ['MatMul', matmul(1, (node) => node.sameDType(0, 1))],
  ['MatMulInteger', matmul(1, () => 'int32')],
  ['QLinearMatMul', matmul(3, (node) => node.input(7).dtype)],
  ['Gemm', gemm],
  ['Einsum', einsum],
]);
