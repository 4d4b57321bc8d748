import type { Rule } from './rule-context.ts';

/** The zero point's type is the output's; uint8 without one. */
const quantize: Rule = (node) => [{ dtype: node.optional(2)?.dtype ?? 'uint8', dims: node.input(0).dims }];

const dequantize: Rule = (node) => [{ dtype: node.input(1).dtype, dims: node.input(0).dims }];

const dynamicQuantize: Rule = (node) => [
  { dtype: 'uint8', dims: node.input(0).dims },
  { dtype: 'float32', dims: [] },
  { dtype: 'uint8', dims: [] },
];

export const quantizationRules: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ['QuantizeLinear', quantize],
  ['DequantizeLinear', dequantize],
  ['DynamicQuantizeLinear', dynamicQuantize],
]);
