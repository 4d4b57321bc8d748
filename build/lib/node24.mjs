// Finds the Node that Hearth runs on: the caller's own when new enough, else the one that build/node carries.
import { existsSync, readdirSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { runQuietly, stampOf, isFresh, markFresh } from './steps.mjs';

export const NODE_MAJOR = 24;
export const root = path.resolve(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), '../..');
const nodeHome = path.join(root, 'build/node');

/** @returns {string | undefined} */
function carriedNode() {
  const modules = path.join(nodeHome, 'node_modules');
  if (!existsSync(modules)) return undefined;
  for (const name of readdirSync(modules)) {
    if (!name.startsWith('node-')) continue;
    for (const file of ['bin/node', 'bin/node.exe', 'node.exe']) {
      const candidate = path.join(modules, name, file);
      if (existsSync(candidate)) return candidate;
    }
  }
  return undefined;
}

/** npm's own command-line file, so that npm can be run by the Node of our choice. */
export function npmCli() {
  const beside = path.dirname(process.execPath);
  const candidates = [
    process.env['npm_execpath'],
    path.join(beside, 'node_modules/npm/bin/npm-cli.js'),
    path.join(beside, '../lib/node_modules/npm/bin/npm-cli.js'),
    ...(process.env['PATH'] ?? '').split(path.delimiter).flatMap((folder) => {
      const command = path.join(folder, 'npm');
      return existsSync(command) ? [realpathSync(command), path.join(folder, 'node_modules/npm/bin/npm-cli.js')] : [];
    }),
  ];
  const found = candidates.find((file) => file !== undefined && file.endsWith('npm-cli.js') && existsSync(file));
  if (found === undefined)
    throw new Error('npm was not found. Install Node.js 20 or newer together with npm, then try again.');
  return found;
}

/**
 * Path of a Node of version 24 or newer; installs the carried one on first use.
 * @param {(line: string) => void} say
 * @returns {Promise<string>}
 */
export async function ensureNode(say) {
  if (Number(process.versions.node.split('.')[0]) >= NODE_MAJOR) return process.execPath;
  const stamp = stampOf([path.join(nodeHome, 'package-lock.json')], [process.platform, process.arch]);
  const mark = path.join(nodeHome, 'node_modules/.hearth-stamp');
  const present = carriedNode();
  if (present !== undefined && isFresh(mark, stamp)) return present;
  say(`Node ${NODE_MAJOR} (this machine has ${process.versions.node}) ...`);
  await runQuietly(process.execPath, [npmCli(), 'ci', '--ignore-scripts', '--no-audit', '--no-fund'], {
    cwd: nodeHome,
  });
  const installed = carriedNode();
  if (installed === undefined) {
    throw new Error(
      `Hearth needs Node ${NODE_MAJOR} or newer and carries none for ${process.platform}-${process.arch}. Install Node ${NODE_MAJOR}, then try again.`,
    );
  }
  markFresh(mark, stamp);
  return installed;
}
