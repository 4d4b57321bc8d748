// Small parts of the set-up: freshness stamps and child processes whose output is shown only when they fail.
import { createHash } from 'node:crypto';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/**
 * A hash over the content of files and folders plus other words that matter.
 * @param {readonly string[]} inputs files or folders
 * @param {readonly string[]} words
 */
export function stampOf(inputs, words = []) {
  const hash = createHash('sha256');
  for (const word of words) hash.update(word).update('\0');
  for (const input of inputs) addTo(hash, input);
  return hash.digest('hex');
}

/** @param {import('node:crypto').Hash} hash @param {string} file */
function addTo(hash, file) {
  if (!existsSync(file)) {
    hash.update(`absent:${path.basename(file)}\0`);
  } else if (statSync(file).isDirectory()) {
    for (const name of readdirSync(file).sort()) {
      if (name !== 'node_modules') addTo(hash, path.join(file, name));
    }
  } else {
    hash.update(path.basename(file)).update('\0').update(readFileSync(file));
  }
}

/** @param {string} mark @param {string} stamp */
export function isFresh(mark, stamp) {
  return existsSync(mark) && readFileSync(mark, 'utf8') === stamp;
}

/** @param {string} mark @param {string} stamp */
export function markFresh(mark, stamp) {
  mkdirSync(path.dirname(mark), { recursive: true });
  writeFileSync(mark, stamp);
}

/**
 * Runs a command to its end; its output appears in the error when it fails.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ cwd: string, env?: NodeJS.ProcessEnv }} options
 * @returns {Promise<void>}
 */
export function runQuietly(command, args, options) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...args], { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (chunk) => (output += String(chunk)));
    child.stderr.on('data', (chunk) => (output += String(chunk)));
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`${path.basename(command)} ${args.join(' ')} ended with ${code}:\n${output.trimEnd()}`));
    });
  });
}
