import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import type { Paths } from '#core/settings/paths.ts';
import { appError, type AppError } from '#shared/errors.ts';
import { networkFileSchema, type NetworkFile } from '#shared/model/network-file.ts';
import { err, ok, type Result } from '#shared/result.ts';
import { KiB } from '#shared/units.ts';

export type NetworkFileError = AppError<'network_file.missing' | 'network_file.invalid' | 'network_file.no_practice'>;

const MAX_BYTES = 64 * KiB;

export const PRACTICE = 'practice';

export function practiceFolder(paths: Paths): string {
  return path.join(paths.data, PRACTICE);
}

export function practiceNetworkFile(paths: Paths): string {
  return path.join(practiceFolder(paths), 'network.json');
}

/** The practice network of the last run; it stays when the network stops, so that what was earned can still be shown. */
export function lastPracticeNetworkFile(paths: Paths): string {
  return path.join(practiceFolder(paths), 'last-network.json');
}

/** The network named on the command line or in the settings. */
export async function loadNetworkFile(name: string, paths: Paths): Promise<Result<NetworkFile, NetworkFileError>> {
  const file = name === PRACTICE ? practiceNetworkFile(paths) : path.resolve(name);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch {
    return err(
      name === PRACTICE
        ? appError('network_file.no_practice', 'No practice network is running on this machine.', {
            remedy: 'Start one in another terminal: hearth practice',
          })
        : appError('network_file.missing', `The network file ${file} could not be read.`, {
            remedy: 'Check its path. A network gives its file to those who join it.',
            data: { file },
          }),
    );
  }
  const parsed = text.length > MAX_BYTES ? undefined : networkFileSchema.safeParse(parseJson(text));
  if (parsed?.success === true) return ok(parsed.data);
  return err(
    appError(
      'network_file.invalid',
      `${file} is not a network file: ${parsed === undefined ? 'it is too large' : z.prettifyError(parsed.error)}`,
      {
        remedy: 'Ask the network for a new one.',
        data: { file },
      },
    ),
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
