import { err, ok, type Result } from '#shared/result.ts';

/** Turns a file of format N into one of format N + 1; pure, never removed once released. */
type Migration = (settings: Readonly<Record<string, unknown>>) => Record<string, unknown>;

/** migrations[0] brings format 0 (the unversioned file of the first preview) to 1, and so on. */
const migrations: readonly Migration[] = [(settings) => ({ ...settings, version: 1 })];

export const SETTINGS_VERSION = migrations.length;

/** The same settings in the newest format; the error is the version of a file that is newer than this program. */
export function migrate(raw: unknown): Result<unknown, number> {
  // Not an object: leave it to the schema, which says what is wrong with it.
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) return ok(raw);
  let settings: Record<string, unknown> = { ...raw };
  const from = typeof settings['version'] === 'number' ? settings['version'] : 0;
  if (from > SETTINGS_VERSION) return err(from);
  for (const step of migrations.slice(Math.max(0, from))) settings = step(settings);
  return ok(settings);
}
