import { type Fact, checkFact, elements, factBytes } from '../shapes/fact.ts';
import { RULES } from '../shapes/registry.ts';
import { RuleContext } from '../shapes/rule-context.ts';
import { refuse } from './errors.ts';
import { PeakMemory } from './memory.ts';
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
 * is refused. Work and memory are added up on the way and stop the walk at their caps.
 */
export function evaluate(plan: Plan, inputs: ReadonlyMap<string, Fact>, caps: RunCaps): Evaluation {
  const facts = new Map<string, Fact>(plan.constants);
  for (const [name, fact] of inputs) {
    checkFact(fact, `input ${name}`, caps);
    facts.set(name, fact);
  }
  const memory = new PeakMemory(plan, caps.peakBytes);
  for (const fact of inputs.values()) memory.hold(factBytes(fact));
  let flops = 0;
  for (const [index, node] of plan.nodes.entries()) {
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
      memory.make(name, factBytes(fact));
      touched += elements(fact.dims);
    }
    flops += context.flops + touched;
    if (!(flops <= caps.flops)) {
      refuse('admission.compute', `one run of the model takes more than ${caps.flops} operations`, {
        limit: caps.flops,
      });
    }
    memory.run(index, context.scratchBytes);
  }
  return { facts, peakBytes: memory.peakBytes, flops };
}
