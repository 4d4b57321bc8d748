import { accessSync, constants } from 'node:fs';
import path from 'node:path';

const FOLDERS = ['/usr/bin', '/bin', '/usr/sbin', '/sbin', '/run/current-system/sw/bin'];

/**
 * Absolute path of a system tool; undefined where it is missing. PATH is not asked: whoever can write to one of its
 * folders could stand in for the tool that builds the sandbox.
 */
export function findTool(
  name: 'mount' | 'prlimit' | 'sandbox-exec' | 'setpriv' | 'sh' | 'unshare',
): string | undefined {
  return FOLDERS.map((folder) => path.join(folder, name)).find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
