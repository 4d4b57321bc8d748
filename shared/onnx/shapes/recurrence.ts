import { elements } from './fact.ts';
import type { Rule } from './rule-context.ts';

/** RNN, GRU, LSTM: `gates` products of the hidden size each step. The sequence length is the input's own size. */
function recurrent(gates: number, hasCell: boolean): Rule {
  return (node) => {
    const dtype = node.sameDType(0, 1, 2);
    const batchFirst = node.int('layout', 0) === 1;
    const [first = 0, second = 0, inputSize = 0] = node.requireRank(0, 3, 3);
    const [steps, batch] = batchFirst ? [second, first] : [first, second];
    const [directions = 0, gateRows = 0, weightInput = 0] = node.requireRank(1, 3, 3);
    const hidden = node.int('hidden_size', gateRows / gates);
    const recurrence = node.requireRank(2, 3, 3);
    if (
      gateRows !== hidden * gates ||
      weightInput !== inputSize ||
      recurrence.join() !== [directions, gateRows, hidden].join()
    ) {
      node.invalid('its weights do not fit');
    }
    node.flops += 2 * steps * batch * directions * gateRows * (inputSize + hidden + 4);
    node.scratchBytes += 4 * elements([steps, batch, directions, gateRows]) * 2;
    const state = { dtype, dims: batchFirst ? [batch, directions, hidden] : [directions, batch, hidden] };
    const all = batchFirst ? [batch, steps, directions, hidden] : [steps, directions, batch, hidden];
    return [{ dtype, dims: all }, state, ...(hasCell ? [state] : [])];
  };
}

export const recurrenceRules: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ['RNN', recurrent(1, false)],
  ['GRU', recurrent(3, false)],
  ['LSTM', recurrent(4, true)],
]);
