import { dtypeOfCode } from '../proto/element-types.ts';
import { refuse } from '../admission/errors.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { elements, valueFact } from './fact.ts';
import type { Rule } from './rule-context.ts';

/** Value attributes of Constant other than the tensor, opset 12. */
const constant: Rule = (node) => {
  const tensor = node.tensor('value');
  if (tensor !== undefined) return [tensor];
  if (node.has('value_int')) return [valueFact('int64', [], [node.requiredInt('value_int')])];
  const ints = node.ints('value_ints');
  if (ints !== undefined) return [valueFact('int64', [ints.length], ints)];
  if (node.has('value_float')) return [{ dtype: 'float32', dims: [] }];
  const floats = node.floats('value_floats');
  if (floats !== undefined) return [valueFact('float32', [floats.length], floats)];
  return refuse('admission.unsupported_type', `${node.label}: a constant of a kind that shards do not have`);
};

const constantOfShape: Rule = (node) => {
  const dims = node.constant(0);
  for (const dim of dims) if (dim < 0) refuse('admission.dims', `${node.label} has an impossible size`, { size: dim });
  const fill = node.tensor('value') ?? { dtype: 'float32', dims: [1], values: [0] };
  const value = fill.values?.[0];
  const few = elements(dims) <= LIMITS.onnx.constantElements;
  const values = few && value !== undefined ? Array.from({ length: elements(dims) }, () => value) : undefined;
  return [valueFact(fill.dtype, dims, values)];
};

/** All three bounds must be known; the count is the operator's own formula. */
const range: Rule = (node) => {
  const [start = NaN, limit = NaN, delta = NaN] = [0, 1, 2].map((index) => node.constant(index)[0] ?? NaN);
  const dtype = node.sameDType(0, 1, 2);
  const count = Math.max(0, Math.ceil((limit - start) / delta));
  if (delta === 0 || !Number.isSafeInteger(count)) node.invalid('its bounds do not make a range');
  const few = count <= LIMITS.onnx.constantElements && dtype.startsWith('int');
  return [valueFact(dtype, [count], few ? Array.from({ length: count }, (_, k) => start + k * delta) : undefined)];
};

const eyeLike: Rule = (node) => {
  const { dims } = node.requireRank(0, 2, 2) && node.input(0);
  const code = node.has('dtype') ? node.requiredInt('dtype') : undefined;
  const dtype = code === undefined ? node.input(0).dtype : dtypeOfCode(code);
  if (dtype === undefined)
    return refuse('admission.unsupported_type', `${node.label}: makes a type that shards do not have`);
  return [{ dtype, dims }];
};

export const generationRules: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ['Constant', constant],
  ['ConstantOfShape', constantOfShape],
  ['Range', range],
  ['EyeLike', eyeLike],
]);
