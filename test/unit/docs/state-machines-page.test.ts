import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { renderStateMachines, stateMachinesPage } from '../../../build/scripts/state-machines-page.ts';
import { MACHINES } from '#shared/model/job-states.ts';

it('docs/state-machines.md draws the machines as they are', () => {
  expect(readFileSync(stateMachinesPage, 'utf8')).toBe(renderStateMachines());
});

it('names every state of every machine with what may follow', () => {
  const page = renderStateMachines();
  for (const machine of Object.values(MACHINES)) {
    for (const [state, next] of Object.entries(machine.transitions as Record<string, readonly string[]>)) {
      expect(page).toContain(`| ${state} | ${next.length === 0 ? '(end)' : next.join(', ')} |`);
    }
  }
});
