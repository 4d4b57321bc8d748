#!/usr/bin/env node
// The `hearth` command from a checkout: sets up what is missing, then hands over to the built program.
import path from 'node:path';
import { setUpOrExit } from './setup.mjs';
import { handOver } from './lib/hand-over.mjs';
import { root } from './lib/node24.mjs';

const { node } = await setUpOrExit();
const args = process.argv.slice(2);
// `npm start` without arguments shows the whole thing earn; `hearth` without arguments shows its help.
if (args.length === 0 && process.env['npm_lifecycle_event'] === 'start') args.push('practice');
process.exitCode = await handOver(node, [
  '--disable-warning=ExperimentalWarning',
  path.join(root, 'out/hearth.js'),
  ...args,
]);
