#!/usr/bin/env node
// Makes a fresh clone ready to run, with nothing but Node >= 20 and npm on the machine: Node 24, the packages of the
// lockfile, and what is built from sources. Every step is skipped while its inputs have not changed.
import { cpus } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { ensureNode, npmCli, root } from './lib/node24.mjs';
import { isFresh, markFresh, runQuietly, stampOf } from './lib/steps.mjs';

/** @typedef {{ node: string }} Ready */

/** @param {string} line */
function say(line) {
  process.stderr.write(`hearth set-up: ${line}\n`);
}

/** @param {string} node */
async function ensurePackages(node) {
  const stamp = stampOf(
    [path.join(root, 'package-lock.json'), path.join(root, 'build/absent')],
    [process.platform, process.arch],
  );
  const mark = path.join(root, 'node_modules/.hearth-stamp');
  if (isFresh(mark, stamp)) return;
  say('packages (a minute or two the first time) ...');
  // npm itself runs under this Node: an older one silently leaves out packages whose engines want more.
  await runQuietly(node, [npmCli(), 'ci', '--ignore-scripts', '--no-audit', '--no-fund'], {
    cwd: root,
    env: { ...process.env, PATH: `${path.dirname(node)}${path.delimiter}${process.env['PATH'] ?? ''}` },
  });
  markFresh(mark, stamp);
}

/** @param {string} node */
async function ensureBuilt(node) {
  const inputs = ['electron', 'shared', 'build/scripts', 'package-lock.json'].map((name) => path.join(root, name));
  const stamp = stampOf(inputs);
  const mark = path.join(root, 'out/.stamp');
  if (isFresh(mark, stamp)) return;
  say(`contracts, practice model and program, on ${cpus().length} cores ...`);
  await runQuietly(node, [path.join(root, 'build/scripts/build.ts')], { cwd: root });
  markFresh(mark, stamp);
}

/** @returns {Promise<Ready>} */
export async function setUp() {
  const started = performance.now();
  const node = await ensureNode(say);
  await ensurePackages(node);
  await ensureBuilt(node);
  const seconds = (performance.now() - started) / 1000;
  if (seconds > 2) say(`ready (${seconds.toFixed(0)} s)`);
  return { node };
}

/** Ends with a plain sentence, not a stack, when the set-up cannot be done. @returns {Promise<Ready>} */
export async function setUpOrExit() {
  try {
    return await setUp();
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    return process.exit(1);
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) await setUpOrExit();
