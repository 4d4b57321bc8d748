#!/usr/bin/env node
// npm test [-- FILTER ...]: sets up, checks (format, lint, types of every layer), runs every test, adds it all up.
// The last line is the sum over all runners: "N passed, N failed, N skipped".
import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setUpOrExit } from './setup.mjs';
import { handOver } from './lib/hand-over.mjs';
import { root } from './lib/node24.mjs';
import { ensureSystemPackages } from './lib/system-packages.mjs';

/** @typedef {{ passed: number, failed: number, skipped: number }} Count */

const { node } = await setUpOrExit();
await ensureSystemPackages((line) => process.stderr.write(`hearth set-up: ${line}\n`));
const filters = process.argv.slice(2);
const counts = [filters.length === 0 ? await runChecks() : { passed: 0, failed: 0, skipped: 0 }, await runTests()];
const sum = counts.reduce((a, b) => ({
  passed: a.passed + b.passed,
  failed: a.failed + b.failed,
  skipped: a.skipped + b.skipped,
}));
console.log(`${sum.passed} passed, ${sum.failed} failed${sum.skipped === 0 ? '' : `, ${sum.skipped} skipped`}`);
process.exitCode = sum.failed === 0 ? 0 : 1;

/** @returns {Promise<Count>} */
async function runChecks() {
  const results = path.join(root, 'out/check-results.json');
  rmSync(results, { force: true });
  await handOver(node, [path.join(root, 'build/scripts/check.ts')], { ...process.env, HEARTH_CHECK_RESULTS: results });
  return { skipped: 0, ...JSON.parse(readFileSync(results, 'utf8')) };
}

/** @returns {Promise<Count>} */
async function runTests() {
  const results = path.join(root, 'out/test-results.json');
  rmSync(results, { force: true });
  const vitest = path.join(root, 'node_modules/vitest/vitest.mjs');
  const code = await handOver(node, [
    vitest,
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${results}`,
    ...filters,
  ]);
  const report = JSON.parse(readFileSync(results, 'utf8'));
  const skipped = report.testResults.flatMap((/** @type {any} */ file) =>
    file.assertionResults.filter(
      (/** @type {any} */ test) => test.status === 'pending' || test.status === 'skipped' || test.status === 'todo',
    ),
  );
  for (const test of skipped) console.log(`skipped: ${test.fullName}`);
  const failed = report.numFailedTests;
  // A file that does not even load, or an error outside a test, fails no test but fails the run.
  return { passed: report.numPassedTests, failed: failed === 0 && code !== 0 ? 1 : failed, skipped: skipped.length };
}
