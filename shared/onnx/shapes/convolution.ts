import type { DType } from '../../model/tensor.ts';
import { elements } from './fact.ts';
import type { Rule, RuleContext } from './rule-context.ts';

export interface Window {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** Begins, then ends. */
  readonly pads: readonly number[];
  readonly autoPad: string;
}

/** The attributes that convolutions and pools share, each checked for its length and range. */
export function windowOf(node: RuleContext, rank: number, kernel: readonly number[]): Window {
  const list = (name: string, length: number, fallback: number, least: number): readonly number[] => {
    const values = node.ints(name) ?? Array.from({ length }, () => fallback);
    if (values.length !== length || values.some((value) => !Number.isSafeInteger(value) || value < least)) {
      node.invalid(`attribute ${name} does not fit`);
    }
    return values;
  };
  if (kernel.length !== rank || kernel.some((size) => !Number.isSafeInteger(size) || size < 1)) {
    node.invalid('its kernel does not fit');
  }
  const autoPad = node.string('auto_pad', 'NOTSET');
  if (!['NOTSET', 'VALID', 'SAME_UPPER', 'SAME_LOWER'].includes(autoPad)) node.invalid('auto_pad is unknown');
  return {
    kernel,
    strides: list('strides', rank, 1, 1),
    dilations: list('dilations', rank, 1, 1),
    pads: list('pads', rank * 2, 0, 0),
    autoPad,
  };
}

/** Sizes after a window slides over `spatial`. ONNX operator Conv, section auto_pad. */
export function slide(node: RuleContext, spatial: readonly number[], window: Window, ceil = false): number[] {
  return spatial.map((size, k) => {
    const stride = window.strides[k] ?? 1;
    const reach = ((window.kernel[k] ?? 1) - 1) * (window.dilations[k] ?? 1) + 1;
    if (window.autoPad.startsWith('SAME')) return Math.ceil(size / stride);
    const explicit = window.autoPad === 'VALID' ? 0 : (window.pads[k] ?? 0) + (window.pads[k + spatial.length] ?? 0);
    const room = size + explicit - reach;
    if (room < 0) node.invalid('its kernel is larger than its padded input');
    return (ceil ? Math.ceil(room / stride) : Math.floor(room / stride)) + 1;
  });
}

/** Conv and its integer forms: x, weights, and where they stand among the inputs. */
function convolution(weightsAt: number, dtypeOf: (node: RuleContext) => DType): Rule {
  return (node) => {
    const [batch = 0, channels = 0, ...spatial] = node.requireRank(0, 3, 5);
    const [features = 0, perGroup = 0, ...kernel] = node.requireRank(weightsAt, 3, 5);
    const group = node.int('group', 1);
    if (group < 1 || channels !== perGroup * group || features % group !== 0)
      node.invalid('channels and groups do not fit');
    const declared = node.ints('kernel_shape');
    if (declared !== undefined && declared.join() !== kernel.join()) node.invalid('kernel_shape and weights disagree');
    const out = slide(node, spatial, windowOf(node, spatial.length, kernel));
    const dims = [batch, features, ...out];
    const patch = perGroup * elements(kernel);
    node.flops += 2 * elements(dims) * patch;
    // im2col: the whole matrix when there are fewer positions than filters, a fixed tile otherwise.
    node.scratchBytes += 4 * patch * Math.min(elements(out), features);
    return [{ dtype: dtypeOf(node), dims }];
  };
}

const convTranspose: Rule = (node) => {
  const [batch = 0, channels = 0, ...spatial] = node.requireRank(0, 3, 5);
  const [weightChannels = 0, perGroup = 0, ...kernel] = node.requireRank(1, 3, 5);
  const group = node.int('group', 1);
  if (group < 1 || channels !== weightChannels || channels % group !== 0)
    node.invalid('channels and groups do not fit');
  const window = windowOf(node, spatial.length, kernel);
  const declared = node.ints('output_shape');
  const padding = node.ints('output_padding') ?? spatial.map(() => 0);
  if (padding.length !== spatial.length || padding.some((pad) => pad < 0)) node.invalid('output_padding does not fit');
  const out = spatial.map((size, k) => {
    const stride = window.strides[k] ?? 1;
    const reach = ((kernel[k] ?? 1) - 1) * (window.dilations[k] ?? 1) + 1;
    if (declared !== undefined)
      return declared[declared.length - spatial.length + k] ?? node.invalid('output_shape is short');
    if (window.autoPad.startsWith('SAME')) return size * stride;
    const pads = window.autoPad === 'VALID' ? 0 : (window.pads[k] ?? 0) + (window.pads[k + spatial.length] ?? 0);
    return stride * (size - 1) + (padding[k] ?? 0) + reach - pads;
  });
  const patch = perGroup * elements(kernel);
  node.flops += 2 * batch * channels * elements(spatial) * patch;
  node.scratchBytes += 4 * patch * elements(spatial);
  return [{ dtype: node.sameDType(0, 1), dims: [batch, perGroup * group, ...out] }];
};

export const convolutionRules: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ['Conv', convolution(1, (node) => node.sameDType(0, 1))],
  ['ConvInteger', convolution(1, () => 'int32')],
  ['QLinearConv', convolution(3, (node) => node.input(7).dtype)],
  ['ConvTranspose', convTranspose],
]);
