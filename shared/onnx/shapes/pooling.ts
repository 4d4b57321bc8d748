import { slide, windowOf } from './convolution.ts';
import { elements } from './fact.ts';
import type { Rule } from './rule-context.ts';

/** MaxPool, AveragePool, LpPool. Only MaxPool has a second output: the index of each maximum. */
const pool: Rule = (node) => {
  const [batch = 0, channels = 0, ...spatial] = node.requireRank(0, 3, 5);
  const window = windowOf(node, spatial.length, node.ints('kernel_shape') ?? node.invalid('kernel_shape is missing'));
  for (const [k, size] of window.kernel.entries()) {
    const pads = [window.pads[k] ?? 0, window.pads[k + spatial.length] ?? 0];
    if (pads.some((pad) => pad >= size)) node.invalid('its padding is larger than its kernel');
  }
  const dims = [batch, channels, ...slide(node, spatial, window, node.int('ceil_mode', 0) === 1)];
  node.flops += elements(dims) * elements(window.kernel);
  return [
    { dtype: node.input(0).dtype, dims },
    { dtype: 'int64', dims },
  ];
};

const globalPool: Rule = (node) => {
  const [batch = 0, channels = 0, ...spatial] = node.requireRank(0, 3);
  return [{ dtype: node.input(0).dtype, dims: [batch, channels, ...spatial.map(() => 1)] }];
};

export const poolingRules: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ['MaxPool', pool],
  ['AveragePool', pool],
  ['LpPool', pool],
  ['GlobalAveragePool', globalPool],
  ['GlobalMaxPool', globalPool],
  ['GlobalLpPool', globalPool],
]);
