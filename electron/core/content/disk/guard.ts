import { err, ok } from '#shared/result.ts';
import type { Result } from '#shared/result.ts';
import { diskFailed, diskFull } from '../errors.ts';
import type { ContentError } from '../port.ts';
import { systemCode } from './files.ts';

/** No space, over quota, over the largest file that the system allows. */
const FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/** Runs a disk operation; its system errors become coded ones, anything else is a fault and goes on. */
export async function guarded<T>(
  folder: string,
  doing: string,
  operation: () => Promise<T>,
): Promise<Result<T, ContentError>> {
  try {
    return ok(await operation());
  } catch (cause) {
    const code = systemCode(cause);
    if (code === undefined) throw cause;
    return err(FULL.has(code) ? diskFull(folder) : diskFailed(folder, code, doing));
  }
}
