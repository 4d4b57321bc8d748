import { existsSync } from 'node:fs';
import path from 'node:path';
import { executorFromBundle } from '#core/compute/executor-files.ts';

/**
 * Where the program's own files are. It runs as out/hearth.js beside out/executor.js; HEARTH_OUT says so for programs
 * that start parts of it from elsewhere (the tests' own roles).
 */
function outFolder(): string {
  return process.env['HEARTH_OUT'] ?? import.meta.dirname;
}

export function programFile(): string {
  return path.join(outFolder(), 'hearth.js');
}

export function practiceModelFile(): string {
  return path.join(outFolder(), 'practice', 'digits.onnx');
}

/** The executor and the packages it may read; node_modules is looked for upwards, as Node does. */
export function executorFiles(): ReturnType<typeof executorFromBundle> {
  const bundle = path.join(outFolder(), 'executor.js');
  let folder = outFolder();
  while (!existsSync(path.join(folder, 'node_modules')) && path.dirname(folder) !== folder)
    folder = path.dirname(folder);
  return executorFromBundle(bundle, path.join(folder, 'node_modules'));
}
