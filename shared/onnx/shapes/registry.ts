import { convolutionRules } from './convolution.ts';
import { elementwiseRules } from './elementwise.ts';
import { generationRules } from './generation.ts';
import { indexingRules } from './indexing.ts';
import { matmulRules } from './matmul.ts';
import { normalizationRules } from './normalization.ts';
import { poolingRules } from './pooling.ts';
import { quantizationRules } from './quantization.ts';
import { recurrenceRules } from './recurrence.ts';
import { reductionRules } from './reduction.ts';
import { reshapingRules } from './reshaping.ts';
import { resizingRules } from './resizing.ts';
import type { Rule } from './rule-context.ts';

/**
 * The allow-list: an operator without a rule is refused. Left out on purpose: random ones (answers could not
 * be compared), RoiAlign (its work depends on box coordinates), Det, DFT and STFT (not needed yet), strings,
 * sequences, optionals, and everything with a subgraph.
 */
export const RULES: ReadonlyMap<string, Rule> = new Map([
  ...elementwiseRules,
  ...normalizationRules,
  ...convolutionRules,
  ...poolingRules,
  ...matmulRules,
  ...reductionRules,
  ...reshapingRules,
  ...indexingRules,
  ...generationRules,
  ...resizingRules,
  ...recurrenceRules,
  ...quantizationRules,
]);

/** Standard operators whose output sizes depend on the data. */
export const DATA_SIZED: ReadonlySet<string> = new Set([
  'NonZero',
  'Unique',
  'Compress',
  'NonMaxSuppression',
  'MaxUnpool',
]);

export const CONTROL_FLOW: ReadonlySet<string> = new Set(['If', 'Loop', 'Scan', 'SequenceMap']);
