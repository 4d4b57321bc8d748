import type { PlanNode } from '../shapes/rule-context.ts';

/**
 * Orders in which a runtime may run the graph, as indices of its nodes: as written, and depth first from the
 * outputs with each node's inputs taken from the first or from the last. A graph can be cheap in one and hold
 * everything at once in another, so memory is counted in all.
 */
export function executionOrders(
  nodes: readonly PlanNode[],
  outputs: readonly string[],
): readonly (readonly number[])[] {
  const maker = new Map<string, number>();
  for (const [index, node] of nodes.entries()) for (const output of node.outputs) maker.set(output, index);
  const forward = depthFirst(nodes, outputs, maker, false);
  const backward = depthFirst(nodes, outputs, maker, true);
  return [[...nodes.keys()], forward, backward];
}

/** Post-order without recursion: a chain of twenty thousand nodes must not cost stack. */
function depthFirst(
  nodes: readonly PlanNode[],
  outputs: readonly string[],
  maker: ReadonlyMap<string, number>,
  lastFirst: boolean,
): number[] {
  const order: number[] = [];
  const state = new Uint8Array(nodes.length);
  const [entered, left] = [1, 2];
  const stack: number[] = [];
  const push = (names: readonly string[]): void => {
    // What is pushed last is visited first.
    for (const name of lastFirst ? names : names.toReversed()) {
      const index = maker.get(name);
      if (index !== undefined && state[index] === 0) stack.push(index);
    }
  };
  push(outputs);
  for (let index = stack.at(-1); index !== undefined; index = stack.at(-1)) {
    if (state[index] === 0) {
      state[index] = entered;
      push(nodes[index]?.inputs ?? []);
    } else {
      stack.pop();
      if (state[index] === entered) order.push(index);
      state[index] = left;
    }
  }
  return order;
}
