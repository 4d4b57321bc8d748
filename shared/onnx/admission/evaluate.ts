import { type Fact, checkFact, elements, factBytes } from '../shapes/fact.ts';
import { RULES } from '../shapes/registry.ts';
import { RuleContext } from '../shapes/rule-context.ts';
import { refuse } from './errors.ts';
import { peakBytes } from './memory.ts';
import type { Plan } from './plan.ts';

export interface RunCaps {
  readonly rank: number;
  readonly tensorBytes: number;
  readonly peakBytes: number;
  readonly flops: number;
}

export interface Evaluation {
  readonly facts: ReadonlyMap<string, Fact>;
  readonly peakBytes: number;
  readonly flops: number;
}

/**
 * Walks the graph once with the inputs' sizes as numbers: every size in it is then a number too, or the model
 * is refused. Work is added up on the way, memory counted at the end.
 */
export function evaluate(plan: Plan, inputs: ReadonlyMap<string, Fact>, caps: RunCaps): Evaluation {
  const facts = new Map<string, Fact>(plan.constants);
  for (const [name, fact] of inputs) {
    checkFact(fact, `input ${name}`, caps);
    facts.set(name, fact);
  }
  const sizes = new Map<string, number>();
  const scratch: number[] = [];
  let inputBytes = 0;
  for (const fact of inputs.values()) inputBytes += factBytes(fact);
  let flops = 0;
  for (const node of plan.nodes) {
    const context = new RuleContext(
      node,
      plan.opset,
      node.inputs.map((name) => (name === '' ? undefined : facts.get(name))),
    );
    const outputs = RULES.get(node.opType)?.(context) ?? refuse('admission.unknown_op', `${context.label} is unknown`);
    let touched = context.inputElements;
    for (const [k, name] of node.outputs.entries()) {
      if (name === '') continue;
      const fact = outputs[k] ?? context.invalid('it has too many outputs');
      checkFact(fact, `the output of ${context.label}`, caps);
      facts.set(name, fact);
      sizes.set(name, factBytes(fact));
      touched += elements(fact.dims);
    }
    flops += context.flops + touched;
    if (!(flops <= caps.flops)) {
      refuse('admission.compute', `one run of the model takes more than ${caps.flops} operations`, {
        limit: caps.flops,
      });
    }
    scratch.push(context.scratchBytes);
  }
  const peak = peakBytes(plan, { sizes, scratch, inputBytes });
  if (peak > caps.peakBytes) {
    refuse(
      'admission.memory',
      `one run of the model needs ${peak} bytes, more than ${caps.peakBytes} are free for it`,
      {
        bytes: peak,
        limit: caps.peakBytes,
      },
    );
  }
  return { facts, peakBytes: peak, flops };
}
