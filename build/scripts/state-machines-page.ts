// Writes docs/state-machines.md from shared/model/job-states.ts: each machine as a diagram and a table, with the comments
// that stand beside its states.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { MACHINES, type Machine } from '../../shared/model/job-states.ts';

const root = path.resolve(import.meta.dirname, '../..');
const source = path.join(root, 'shared/model/job-states.ts');
export const stateMachinesPage = path.join(root, 'docs/state-machines.md');

const HEAD = `# State machines

Work and money move through these tables. They live as values in \`shared/model/job-states.ts\`, the ledgers refuse every
transition that is not in them, and every transition is committed to the ledger **before** anything is done because of it:
a process may be killed at any line, and what it does after its restart follows from the stored state alone.

This page is made from that file (\`node build/run.mjs build/scripts/state-machines-page.ts\`); a test fails when the two differ.

## What a restart does

| stored | what follows |
| --- | --- |
| provider: lease granted or running | run (again) while the lease has time, else given back or expired |
| provider: lease computed or submitted | the stored results are sent (again) when the requester is met again; the requester knows them by lease and shard |
| provider: voucher | kept; settled by amount, age, a closing channel, or on stopping. One that the chain has settled already is no error |
| requester: lease open | its shards go back to the queue when it expires or its peer stays away |
| requester: answer accepted, not paid | paid with the next voucher: marking it paid, raising the channel's sum and storing the voucher are one commit |
| requester: voucher stored, perhaps not sent | sent (again) when the provider joins; it is cumulative, so twice is once |
| requester: channel opening | opened under a reference that follows from offer and provider: a second try finds the first one's channel |
| requester: feedback sending | left as it is: feedback is given at most once |
`;

/** The page as it should be. */
export function renderStateMachines(): string {
  return [HEAD, ...Object.entries(MACHINES).map(([name, machine]) => section(name, machine))].join('\n');
}

function section(name: string, machine: Machine<string>): string {
  const { title, notes } = wordsOf(name);
  const states = Object.entries(machine.transitions);
  const arrows = [
    ...machine.initial.map((state) => `  [*] --> ${state}`),
    ...states.flatMap(([from, next]) =>
      next.length === 0 ? [`  ${from} --> [*]`] : next.map((to) => `  ${from} --> ${to}`),
    ),
  ];
  const rows = states.map(
    ([state, next]) => `| ${state} | ${next.length === 0 ? '(end)' : next.join(', ')} | ${notes.get(state) ?? ''} |`,
  );
  return [
    `## ${name}`,
    '',
    title,
    '',
    '```mermaid',
    'stateDiagram-v2',
    ...arrows,
    '```',
    '',
    '| state | may become | meaning |',
    '| --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}

/** The comment above a machine, and those above its states. */
function wordsOf(name: string): { readonly title: string; readonly notes: ReadonlyMap<string, string> } {
  const notes = new Map<string, string>();
  let title = '';
  let comment = '';
  let inside = false;
  for (const line of readFileSync(source, 'utf8').split('\n')) {
    const words = /^\s*\/\*\* (.*?) \*\/$/.exec(line)?.[1];
    if (words !== undefined) {
      comment = words;
      continue;
    }
    if (line.startsWith(`const ${name} = machine(`)) {
      inside = true;
      title = comment;
    } else if (inside && line.startsWith('});')) {
      break;
    }
    const state = /^ {2}(\w+): \[/.exec(line)?.[1];
    if (inside && state !== undefined && comment !== '') notes.set(state, comment);
    comment = '';
  }
  return { title, notes };
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  writeFileSync(stateMachinesPage, renderStateMachines());
}
