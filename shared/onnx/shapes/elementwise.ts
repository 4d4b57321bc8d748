import { LIMITS } from '../../protocol/limits.ts';
import type { DType } from '../../model/tensor.ts';
import { dtypeOfCode } from '../proto/element-types.ts';
import { refuse } from '../admission/errors.ts';
import { broadcastDims, broadcastIndices } from './broadcast.ts';
import { type Fact, elements, valueFact } from './fact.ts';
import type { Rule, RuleContext } from './rule-context.ts';

type Scalar = (...values: readonly number[]) => number;

/** Result of broadcasting inputs `indices` together. */
export function broadcast(node: RuleContext, indices: readonly number[]): number[] {
  return (
    broadcastDims(...indices.map((index) => node.input(index).dims)) ??
    node.invalid('the shapes of its inputs do not fit')
  );
}

/** `compute` on small constants, element by element; undefined where an input is not known. */
function evaluate(inputs: readonly Fact[], dims: readonly number[], compute: Scalar | undefined): number[] | undefined {
  const count = elements(dims);
  if (compute === undefined || count > LIMITS.onnx.constantElements) return undefined;
  const columns: number[][] = [];
  for (const { dims: own, values } of inputs) {
    if (values === undefined) return undefined;
    columns.push(broadcastIndices(own, dims).map((index) => values[index] ?? NaN));
  }
  return Array.from({ length: count }, (_, at) => compute(...columns.map((column) => column[at] ?? NaN)));
}

/** Rounds as the runtime does: one IEEE operation in double, rounded to float, equals the float operation. */
function rounded(dtype: DType, compute: Scalar): Scalar {
  return dtype === 'float32' ? (...values) => Math.fround(compute(...values)) : compute;
}

/** Integer arithmetic is followed only while doubles are exact; beyond, the value counts as unknown. */
function exact(dtype: DType, compute: Scalar | undefined): Scalar | undefined {
  if (compute === undefined) return undefined;
  if (dtype === 'float32' || dtype === 'float64') return rounded(dtype, compute);
  return (...values) => {
    const result = compute(...values);
    return values.every(Number.isSafeInteger) && Number.isSafeInteger(result) ? result : NaN;
  };
}

export function unary(compute?: Scalar): Rule {
  return (node) => {
    const x = node.input(0);
    return [valueFact(x.dtype, x.dims, evaluate([x], x.dims, exact(x.dtype, compute)))];
  };
}

/** Two or more inputs of one type, broadcast. `compute` is for two. */
export function arithmetic(compute?: (dtype: DType) => Scalar): Rule {
  return (node) => {
    if (node.inputCount === 0) node.invalid('it has no inputs');
    const indices = node.inputs.map((_, index) => index);
    const dtype = node.sameDType(...indices);
    const dims = broadcast(node, indices);
    const known = node.inputCount === 2 ? exact(dtype, compute?.(dtype)) : undefined;
    return [valueFact(dtype, dims, evaluate(node.inputs, dims, known))];
  };
}

export function comparison(compute?: Scalar): Rule {
  return (node) => {
    const dims = broadcast(node, [0, 1]);
    // Integers beyond 2^53 are rounded here, so two that differ could compare as equal.
    const integer = !isFloat(node.sameDType(0, 1));
    const known: Scalar = (...values) =>
      integer && !values.every(Number.isSafeInteger) ? NaN : (compute?.(...values) ?? NaN);
    return [valueFact('bool', dims, evaluate([node.input(0), node.input(1)], dims, known))];
  };
}

const isFloat = (dtype: DType): boolean => dtype.startsWith('float');

const division = (dtype: DType): Scalar =>
  isFloat(dtype) ? (a = NaN, b = NaN) => a / b : (a = NaN, b = NaN) => (b === 0 ? NaN : Math.trunc(a / b));

const where: Rule = (node) => {
  const dims = broadcast(node, [0, 1, 2]);
  const dtype = node.sameDType(1, 2);
  if (node.input(0).dtype !== 'bool') node.invalid('its condition is not boolean');
  const values = evaluate(node.inputs.slice(0, 3), dims, (condition = NaN, a = NaN, b = NaN) =>
    condition === 0 ? b : a,
  );
  return [valueFact(dtype, dims, values)];
};

const cast: Rule = (node) => {
  const code = node.requiredInt('to');
  const to =
    dtypeOfCode(code) ?? refuse('admission.unsupported_type', `${node.label}: casts to a type that shards do not have`);
  const x = node.input(0);
  return [valueFact(to, x.dims, evaluate([x], x.dims, casting(x.dtype, to)))];
};

/** Casts followed by value: to a type that holds the number exactly, or float to integer by truncation. */
function casting(from: DType, to: DType): Scalar {
  if (to === 'bool') return (value) => (value === 0 ? 0 : 1);
  const read = isFloat(from) ? (value = NaN): number => value : (value = NaN): number => safe(value);
  if (to === 'float32') return (value) => Math.fround(read(value));
  return to === 'float64' ? read : (value) => safe(Math.trunc(read(value)));
}

function safe(value: number): number {
  return Number.isSafeInteger(value) ? value : NaN;
}

const castLike: Rule = (node) => [{ dtype: node.input(1).dtype, dims: node.input(0).dims }];

const toBool: Rule = (node) => [{ dtype: 'bool', dims: node.input(0).dims }];

/** Output as the first input; the others only parametrise it. */
export const likeFirst: Rule = (node) => {
  const { dtype, dims } = node.input(0);
  return [{ dtype, dims }];
};

/** The slope is broadcast to x one way, so the result is x's shape. */
const prelu: Rule = (node) => {
  const x = node.input(0);
  const dims = broadcast(node, [0, 1]);
  if (elements(dims) !== elements(x.dims)) node.invalid('the slope does not fit');
  return [{ dtype: node.sameDType(0, 1), dims: x.dims }];
};

/** The exponent may have another type; the base's counts. */
const pow: Rule = (node) => [{ dtype: node.input(0).dtype, dims: broadcast(node, [0, 1]) }];

const dropout: Rule = (node) => {
  const x = node.input(0);
  return [
    { dtype: x.dtype, dims: x.dims, ...(x.values === undefined ? {} : { values: x.values }) },
    { dtype: node.opset < 10 ? x.dtype : 'bool', dims: x.dims },
  ];
};

const plain = (...names: readonly string[]): [string, Rule][] => names.map((name) => [name, unary()]);

export const elementwiseRules: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ...plain('Exp', 'Log', 'Tanh', 'Sigmoid', 'Relu', 'Erf', 'Reciprocal', 'Round', 'Sin', 'Cos', 'Tan', 'Asin', 'Acos'),
  ...plain('Atan', 'Sinh', 'Cosh', 'Asinh', 'Acosh', 'Atanh', 'Softplus', 'Softsign', 'Elu', 'Selu', 'Celu', 'Gelu'),
  ...plain('LeakyRelu', 'ThresholdedRelu', 'HardSigmoid', 'HardSwish', 'Mish', 'Shrink', 'BitwiseNot'),
  ['Clip', likeFirst],
  ['Identity', unary((x = NaN) => x)],
  ['Neg', unary((x = NaN) => -x)],
  ['Abs', unary((x = NaN) => Math.abs(x))],
  ['Sign', unary((x = NaN) => Math.sign(x))],
  ['Floor', unary((x = NaN) => Math.floor(x))],
  ['Ceil', unary((x = NaN) => Math.ceil(x))],
  ['Sqrt', unary((x = NaN) => Math.sqrt(x))],
  ['Not', unary((x = NaN) => 1 - x)],
  [
    'Add',
    arithmetic(
      () =>
        (a = NaN, b = NaN) =>
          a + b,
    ),
  ],
  [
    'Sub',
    arithmetic(
      () =>
        (a = NaN, b = NaN) =>
          a - b,
    ),
  ],
  [
    'Mul',
    arithmetic(
      () =>
        (a = NaN, b = NaN) =>
          a * b,
    ),
  ],
  ['Div', arithmetic(division)],
  [
    'Max',
    arithmetic(
      () =>
        (a = NaN, b = NaN) =>
          Math.max(a, b),
    ),
  ],
  [
    'Min',
    arithmetic(
      () =>
        (a = NaN, b = NaN) =>
          Math.min(a, b),
    ),
  ],
  ['Sum', arithmetic()],
  ['Mean', arithmetic()],
  ['Mod', arithmetic()],
  ['BitShift', arithmetic()],
  ['BitwiseAnd', arithmetic()],
  ['BitwiseOr', arithmetic()],
  ['BitwiseXor', arithmetic()],
  ['Pow', pow],
  ['PRelu', prelu],
  ['Equal', comparison((a, b) => (a === b ? 1 : 0))],
  ['Less', comparison((a = NaN, b = NaN) => (a < b ? 1 : 0))],
  ['LessOrEqual', comparison((a = NaN, b = NaN) => (a <= b ? 1 : 0))],
  ['Greater', comparison((a = NaN, b = NaN) => (a > b ? 1 : 0))],
  ['GreaterOrEqual', comparison((a = NaN, b = NaN) => (a >= b ? 1 : 0))],
  ['And', comparison((a = NaN, b = NaN) => a * b)],
  ['Or', comparison((a = NaN, b = NaN) => Math.max(a, b))],
  ['Xor', comparison((a, b) => (a === b ? 0 : 1))],
  ['Where', where],
  ['Cast', cast],
  ['CastLike', castLike],
  ['IsNaN', toBool],
  ['IsInf', toBool],
  ['Dropout', dropout],
]);
