import { elements } from './fact.ts';
import { likeFirst } from './elementwise.ts';
import type { Rule } from './rule-context.ts';

/** Mean and variance come out too when asked for (training mode and the old five-output form). */
const batchNormalization: Rule = (node) => {
  const x = node.input(0);
  const channels = { dtype: x.dtype, dims: [x.dims[1] ?? 1] };
  for (const index of [1, 2, 3, 4]) {
    if (elements(node.input(index).dims) !== (x.dims[1] ?? 1))
      node.invalid(`input ${index} has not one value a channel`);
  }
  return [{ dtype: x.dtype, dims: x.dims }, channels, channels, channels, channels];
};

const layerNormalization: Rule = (node) => {
  const { dtype, dims } = node.input(0);
  const axis = node.axis(node.int('axis', -1), dims.length);
  const statistics = { dtype, dims: dims.map((dim, k) => (k < axis ? dim : 1)) };
  node.flops += 8 * elements(dims);
  return [{ dtype, dims }, statistics, statistics];
};

/** Sums over a window of channels for each element. */
const localResponse: Rule = (node) => {
  const { dims } = node.requireRank(0, 3) && node.input(0);
  const size = node.requiredInt('size');
  if (size < 1 || size > (dims[1] ?? 0) * 2 + 1) node.invalid('its window does not fit the channels');
  node.flops += elements(dims) * size;
  return likeFirst(node);
};

export const normalizationRules: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ['BatchNormalization', batchNormalization],
  ['InstanceNormalization', likeFirst],
  ['GroupNormalization', likeFirst],
  ['LayerNormalization', layerNormalization],
  ['LpNormalization', likeFirst],
  ['MeanVarianceNormalization', likeFirst],
  ['LRN', localResponse],
  ['Softmax', likeFirst],
  ['LogSoftmax', likeFirst],
  ['Hardmax', likeFirst],
]);
