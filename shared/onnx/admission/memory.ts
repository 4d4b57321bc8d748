import type { Plan } from './plan.ts';

/** What the walk over a graph learned about memory, in bytes. */
export interface MemoryUse {
  /** Of every value that a node makes. */
  readonly sizes: ReadonlyMap<string, number>;
  /** Of the kernels themselves while they run, by node. */
  readonly scratch: readonly number[];
  readonly inputBytes: number;
}

/**
 * Upper estimate of what one session needs at its worst moment: the file, the weights twice (the runtime keeps
 * a copy packed for its kernels), the inputs, and every intermediate value from the node that makes it to the last
 * that reads it. Values made from constants alone are folded into weights by the runtime and stay.
 */
export function peakBytes(plan: Plan, use: MemoryUse): number {
  const always = plan.fileBytes + 2 * plan.parameterBytes + use.inputBytes;
  const staying = stayingValues(plan);
  let peak = always;
  for (const order of plan.orders) peak = Math.max(peak, always + peakInOrder(plan, use, staying, order));
  return peak;
}

function peakInOrder(plan: Plan, use: MemoryUse, staying: ReadonlySet<string>, order: readonly number[]): number {
  const lastUse = new Map<string, number>();
  for (const [at, index] of order.entries()) {
    const node = plan.nodes[index];
    for (const name of node?.inputs ?? []) lastUse.set(name, at);
    for (const name of node?.outputs ?? []) lastUse.set(name, at);
  }
  let live = 0;
  let peak = 0;
  for (const [at, index] of order.entries()) {
    const node = plan.nodes[index];
    for (const name of node?.outputs ?? []) live += use.sizes.get(name) ?? 0;
    peak = Math.max(peak, live + (use.scratch[index] ?? 0));
    for (const name of new Set([...(node?.inputs ?? []), ...(node?.outputs ?? [])])) {
      if (lastUse.get(name) === at && !staying.has(name)) live -= use.sizes.get(name) ?? 0;
    }
  }
  return peak;
}

/** Outputs of the graph, and what is made from constants alone. */
function stayingValues(plan: Plan): ReadonlySet<string> {
  const constant = new Set(plan.constants.keys());
  for (const node of plan.nodes) {
    if (!node.inputs.every((name) => name === '' || constant.has(name))) continue;
    for (const name of node.outputs) constant.add(name);
  }
  for (const { name } of plan.outputs) constant.add(name);
  return constant;
}
