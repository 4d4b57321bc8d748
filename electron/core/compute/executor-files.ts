import path from 'node:path';
import type { ExecutorFiles } from './sandbox/command.ts';

/** Packages that an executor loads from node_modules, bundled or not. */
const RUNTIME_PACKAGES = ['onnxruntime-node', 'onnxruntime-common', 'webgpu'];

function packages(modulesFolder: string): string[] {
  return RUNTIME_PACKAGES.map((name) => path.join(modulesFolder, name));
}

/** The executor as TypeScript sources under `repositoryRoot`, as tests and a checkout run it. */
export function executorFromSources(repositoryRoot: string): ExecutorFiles {
  const at = (...parts: readonly string[]) => path.join(repositoryRoot, ...parts);
  return {
    executorEntry: at('electron/executor/main.ts'),
    readableRoots: [
      ...['electron/executor', 'electron/core/compute', 'shared', 'package.json'].map((part) => at(part)),
      ...packages(at('node_modules')),
    ],
  };
}

/** The executor as the one bundled file, with the folder that holds the runtime's packages. */
export function executorFromBundle(bundleFile: string, modulesFolder: string): ExecutorFiles {
  return { executorEntry: bundleFile, readableRoots: [bundleFile, ...packages(modulesFolder)] };
}
