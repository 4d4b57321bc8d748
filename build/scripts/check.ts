// Formatter, lint and the types of every layer; each layer compiles with its own ambient types only.
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');
const bin = (name: string) => path.join(root, 'node_modules', ...name.split('/'));

interface Check {
  readonly name: string;
  readonly kind: 'types' | 'lint' | 'format';
  readonly args: readonly string[];
}

const layers = readdirSync(path.join(root, 'build/tsconfig'))
  .filter((file) => file !== 'base.json')
  .map((file) => path.basename(file, '.json'));

const checks: readonly Check[] = [
  ...layers.map((layer): Check => ({
    name: `types of ${layer}`,
    kind: 'types',
    args: [bin('typescript/bin/tsc'), '-p', `build/tsconfig/${layer}.json`],
  })),
  { name: 'lint', kind: 'lint', args: [bin('oxlint/bin/oxlint'), '--type-aware', '--deny-warnings'] },
  { name: 'format', kind: 'format', args: [bin('prettier/bin/prettier.cjs'), '--check', '--log-level', 'warn', '.'] },
];

async function passes(check: Check): Promise<boolean> {
  const started = performance.now();
  const child = spawn(process.execPath, check.args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const code = await new Promise<number>((resolve) => child.on('close', (exit) => resolve(exit ?? 1)));
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${code === 0 ? 'ok  ' : 'FAIL'} ${check.name} (${seconds} s)`);
  if (code !== 0) console.log(output.trimEnd());
  return code === 0;
}

const only = process.argv[2];
const queue = checks.filter((check) => only === undefined || check.kind === only);
let passed = 0;
let failed = 0;
const next = queue.values();
async function drain(): Promise<void> {
  for (const check of next) {
    if (await passes(check)) passed += 1;
    else failed += 1;
  }
}
await Promise.all(Array.from({ length: Math.min(4, availableParallelism()) }, drain));
console.log(`checks: ${passed} passed, ${failed} failed`);
const resultsFile = process.env['HEARTH_CHECK_RESULTS'];
if (resultsFile !== undefined) {
  mkdirSync(path.dirname(resultsFile), { recursive: true });
  writeFileSync(resultsFile, JSON.stringify({ passed, failed }));
}
process.exitCode = failed === 0 ? 0 : 1;
