import { elements } from './fact.ts';
import type { Rule, RuleContext } from './rule-context.ts';

/** The runtime multiplies in float32, so the product is rounded the same way before it is floored. */
function scaled(node: RuleContext, dims: readonly number[], scales: readonly number[]): number[] {
  if (scales.length !== dims.length) node.invalid('its scales do not fit its input');
  return dims.map((dim, axis) => {
    const scale = scales[axis] ?? 0;
    if (!(scale > 0) || !Number.isFinite(scale)) node.invalid('a scale is not possible');
    return Math.floor(Math.fround(dim * Math.fround(scale)));
  });
}

/** Cubic interpolation reads sixteen neighbours an element. */
const CUBIC_WORK = 64;

const resize: Rule = (node) => {
  const x = node.input(0);
  const out = resizedDims(node, x.dims);
  node.flops += CUBIC_WORK * (elements(out) + elements(x.dims));
  node.scratchBytes += 4 * (elements(out) + elements(x.dims));
  return [{ dtype: x.dtype, dims: out }];
};

function resizedDims(node: RuleContext, dims: readonly number[]): number[] {
  if (node.opset < 11) return scaled(node, dims, node.constant(1));
  const axes = node.axes(node.ints('axes') ?? [...dims.keys()], dims.length);
  const spread = (list: readonly number[], rest: (axis: number) => number): number[] => {
    if (list.length !== axes.length) node.invalid('its sizes or scales do not fit its input');
    return [...dims.keys()].map((axis) => {
      const at = axes.indexOf(axis);
      return at < 0 ? rest(axis) : (list[at] ?? 0);
    });
  };
  const scales = node.optional(2) === undefined ? [] : node.constant(2);
  if (scales.length > 0)
    return scaled(
      node,
      dims,
      spread(scales, () => 1),
    );
  if (node.string('keep_aspect_ratio_policy', 'stretch') !== 'stretch')
    node.invalid('its aspect policy is not taken here');
  return spread(node.constant(3), (axis) => dims[axis] ?? 0);
}

const upsample: Rule = (node) => {
  const x = node.input(0);
  const scales = (node.opset < 9 ? node.floats('scales') : node.constant(1)) ?? node.invalid('scales are missing');
  const dims = scaled(node, x.dims, scales);
  node.flops += CUBIC_WORK * elements(dims);
  return [{ dtype: x.dtype, dims }];
};

const gridSample: Rule = (node) => {
  const [batch = 0, channels = 0] = node.requireRank(0, 4, 5);
  const grid = node.requireRank(1, node.input(0).dims.length, node.input(0).dims.length);
  const dims = [batch, channels, ...grid.slice(1, -1)];
  node.flops += CUBIC_WORK * elements(dims);
  return [{ dtype: node.input(0).dtype, dims }];
};

export const resizingRules: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ['Resize', resize],
  ['Upsample', upsample],
  ['GridSample', gridSample],
]);
