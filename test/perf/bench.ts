// npm run bench [-- --quick] [-- --json] [-- SUBJECT ...]: runs every <subject>.bench.ts beside this file, one after the
// other, and prints what was measured on this machine in this run. Nothing here passes or fails.
import { readdirSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { table } from '../../electron/headless/terminal/table.ts';
import type { Measure, Row } from './row.ts';

const flags = new Set(process.argv.slice(2).filter((arg) => arg.startsWith('--')));
const wanted = process.argv.slice(2).filter((arg) => !arg.startsWith('--'));
const json = flags.has('--json');
const quick = flags.has('--quick');

const subjects = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith('.bench.ts'))
  .map((file) => path.basename(file, '.bench.ts'))
  .filter((subject) => wanted.length === 0 || wanted.includes(subject));

const rows: Row[] = [];
for (const subject of subjects) {
  if (!json) process.stderr.write(`measuring ${subject} ...\n`);
  const module = (await import(pathToFileURL(path.join(import.meta.dirname, `${subject}.bench.ts`)).href)) as {
    measure: Measure;
  };
  try {
    for (const row of await module.measure({ quick })) {
      rows.push(row);
      if (json) console.log(JSON.stringify(row));
    }
  } catch (error) {
    process.exitCode = 1;
    process.stderr.write(
      `${subject} could not be measured: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    );
  }
}

if (!json) {
  console.log(
    `\n${cpus().length} x ${cpus()[0]?.model.trim() ?? 'cpu'}, ${Math.round(totalmem() / 2 ** 30)} GB, Node ${process.versions.node}${quick ? ', quick' : ''}\n`,
  );
  console.log(
    table(
      ['what', 'value', 'unit', 'goal'],
      rows.map((row) => [row.name, display(row.value), row.unit, row.goal ?? '']),
    ),
  );
}
process.exit();

function display(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString('en-US');
  return value >= 10 ? value.toFixed(1) : value.toPrecision(3);
}
