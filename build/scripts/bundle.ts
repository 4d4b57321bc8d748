// Bundles the program: out/hearth.js (command line and agent) and out/executor.js (runs shards, alone in its process).
// Bundled, it starts faster, needs less memory, and the executor can be denied every file but its own.
import { readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { rolldown } from 'rolldown';

const root = path.resolve(import.meta.dirname, '../..');
const out = path.join(root, 'out');
const staging = path.join(out, '.staging');

/** Packages with native code or data files of their own stay in node_modules. */
const external = [
  /^node:/,
  'onnxruntime-node',
  'webgpu',
  '@nomicfoundation/edr',
  'node-datachannel',
  /^node-datachannel\//,
  'secp256k1',
  'tiny-secp256k1',
  'pino',
  'pino-roll',
  'systeminformation',
  'write-file-atomic',
];

/** Returns the names of the files written. */
async function bundle(name: string, entry: string): Promise<readonly string[]> {
  const build = await rolldown({
    input: { [name]: path.join(root, entry) },
    platform: 'node',
    external,
    logLevel: 'warn',
    treeshake: true,
  });
  const { output } = await build.write({
    dir: staging,
    format: 'esm',
    sourcemap: true,
    chunkFileNames: `${name}-[name]-[hash].js`,
  });
  await build.close();
  return output.map((file) => file.fileName);
}

// A program that runs meanwhile never finds half of a bundle: chunks come first, entries last, each in one step, and
// what no entry needs any more goes at the end.
await rm(staging, { recursive: true, force: true });
const files = (
  await Promise.all([bundle('hearth', 'electron/headless/main.ts'), bundle('executor', 'electron/executor/main.ts')])
).flat();
const entriesLast = files.toSorted((a, b) => Number(isEntry(a)) - Number(isEntry(b)));
for (const file of entriesLast) await rename(path.join(staging, file), path.join(out, file));
for (const file of await readdir(out)) {
  if (/\.js(\.map)?$/.test(file) && !files.includes(file)) await rm(path.join(out, file));
}
await rm(staging, { recursive: true });

function isEntry(file: string): boolean {
  return file.startsWith('hearth.js') || file.startsWith('executor.js');
}
