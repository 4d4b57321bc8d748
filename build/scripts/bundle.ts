// Bundles the program: out/hearth.js (command line and agent) and out/executor.js (runs shards, alone in its process).
// Bundled, it starts faster, needs less memory, and the executor can be denied every file but its own.
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { rolldown } from 'rolldown';

const root = path.resolve(import.meta.dirname, '../..');

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

async function bundle(name: string, entry: string): Promise<void> {
  const build = await rolldown({
    input: { [name]: path.join(root, entry) },
    platform: 'node',
    external,
    logLevel: 'warn',
    treeshake: true,
  });
  await build.write({
    dir: path.join(root, 'out'),
    format: 'esm',
    sourcemap: true,
    chunkFileNames: `${name}-[name]-[hash].js`,
  });
  await build.close();
}

await rm(path.join(root, 'out/hearth.js'), { force: true });
await Promise.all([bundle('hearth', 'electron/headless/main.ts'), bundle('executor', 'electron/executor/main.ts')]);
