import path from 'node:path';
import envPaths from 'env-paths';

/** Where one instance of Hearth keeps its things. */
export interface Paths {
  readonly config: string;
  readonly data: string;
  readonly logs: string;
}

/**
 * The platform's own directories, or everything under one folder when HEARTH_HOME (or `home`) names it: several rigs
 * on one machine, a portable installation, a test.
 */
export function resolvePaths(home: string | undefined = process.env['HEARTH_HOME']): Paths {
  if (home !== undefined && home !== '') {
    const base = path.resolve(home);
    return { config: path.join(base, 'config'), data: path.join(base, 'data'), logs: path.join(base, 'logs') };
  }
  const found = envPaths('hearth', { suffix: '' });
  return { config: found.config, data: found.data, logs: found.log };
}
