#!/usr/bin/env node
// node build/run.mjs FILE [ARGS]: sets up what is missing, then runs FILE under Hearth's Node.
import { setUpOrExit } from './setup.mjs';
import { handOver } from './lib/hand-over.mjs';

const { node } = await setUpOrExit();
process.exitCode = await handOver(node, process.argv.slice(2));
