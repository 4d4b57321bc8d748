import { describe, expect, it } from 'vitest';
import { isFinal, isLegal, MACHINES, statesOf, type MachineName } from '#shared/model/job-states.ts';

const names = Object.keys(MACHINES) as MachineName[];

describe.each(names)('the machine of a %s', (name) => {
  const states = statesOf(name);

  it('names only states that it has', () => {
    const { initial, transitions } = MACHINES[name];
    const mentioned = new Set<string>([...initial, ...Object.values(transitions).flat()]);
    for (const state of mentioned) expect(states).toContain(state);
  });

  it('reaches every state from an initial one, and an end from every state', () => {
    const reach = (from: readonly string[]): Set<string> => {
      const seen = new Set(from);
      for (const state of seen) for (const next of states) if (isLegal(name, state, next)) seen.add(next);
      return seen;
    };
    const entered = reach(MACHINES[name].initial);
    for (const state of states) {
      expect(entered).toContain(state);
      expect([...reach([state])].some((end) => isFinal(name, end as never))).toBe(true);
    }
  });

  it('leaves no end and knows no transition to or from unknown states', () => {
    for (const from of states) {
      expect(isFinal(name, from)).toBe(!states.some((to) => isLegal(name, from, to)));
      expect(isLegal(name, from, 'nowhere')).toBe(false);
      expect(isLegal(name, 'nowhere', from)).toBe(false);
    }
  });
});

it('a voucher cannot come before a verdict, nor a verdict after pay', () => {
  expect(isLegal('lease', 'submitted', 'paid')).toBe(false);
  expect(isLegal('lease', 'paid', 'judged')).toBe(false);
  expect(isLegal('answer', 'received', 'paid')).toBe(false);
  expect(isLegal('answer', 'refused', 'paid')).toBe(false);
  expect(isLegal('shard', 'settled', 'queued')).toBe(false);
});
