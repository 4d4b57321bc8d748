import { mkdir, readFile, copyFile } from 'node:fs/promises';
import path from 'node:path';
import type { z } from 'zod';
import writeFileAtomic from 'write-file-atomic';
import { appError, type AppError } from '#shared/errors.ts';
import { err, ok, type Result } from '#shared/result.ts';
import { settingsSchema, type Settings } from '#shared/model/settings.ts';
import { migrate, SETTINGS_VERSION } from './migrations.ts';

export type SettingsErrorCode =
  | 'settings.unreadable'
  | 'settings.not_json'
  | 'settings.invalid'
  | 'settings.from_newer_version'
  | 'settings.not_saved';
export type SettingsError = AppError<SettingsErrorCode>;

const MAX_FILE_BYTES = 256 * 1024;

export function settingsFile(configDirectory: string): string {
  return path.join(configDirectory, 'settings.json');
}

/** Settings from disk; defaults when there is no file. A broken file is never overwritten: its owner may want it. */
export async function loadSettings(configDirectory: string): Promise<Result<Settings, SettingsError>> {
  const file = settingsFile(configDirectory);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (isMissing(error)) return ok(settingsSchema.parse({}));
    return err(
      appError('settings.unreadable', `The settings file could not be read (${systemCode(error)}).`, {
        remedy: `Check that you may read ${file}.`,
        data: { file },
      }),
    );
  }
  return parseSettings(text, file);
}

export function parseSettings(text: string, file: string): Result<Settings, SettingsError> {
  const remedy = `Correct ${file}, or rename it to start again with the defaults.`;
  if (text.length > MAX_FILE_BYTES) {
    return err(
      appError('settings.invalid', 'The settings file is far too large to be one.', { remedy, data: { file } }),
    );
  }
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    return err(appError('settings.not_json', 'The settings file is not valid JSON.', { remedy, data: { file } }));
  }
  const migrated = migrate(raw);
  if (!migrated.ok) {
    return err(
      appError(
        'settings.from_newer_version',
        `The settings were written by a newer Hearth (format ${migrated.error}, this one knows up to ${SETTINGS_VERSION}).`,
        { remedy: 'Update Hearth.', data: { file } },
      ),
    );
  }
  const parsed = settingsSchema.safeParse(migrated.value);
  if (!parsed.success) return err(invalid(parsed.error, remedy, file));
  return ok(parsed.data);
}

/** Checks, then replaces the file in one step: a crash leaves the old one or the new one, never half of one. */
export async function saveSettings(
  configDirectory: string,
  settings: unknown,
): Promise<Result<Settings, SettingsError>> {
  const file = settingsFile(configDirectory);
  const parsed = settingsSchema.safeParse(settings);
  if (!parsed.success) return err(invalid(parsed.error, 'Nothing was changed.', file));
  try {
    await mkdir(configDirectory, { recursive: true, mode: 0o700 });
    await copyFile(file, `${file}.previous`).catch((error: unknown) => {
      if (!isMissing(error)) throw error;
    });
    await writeFileAtomic(file, `${JSON.stringify(parsed.data, null, 2)}\n`, { mode: 0o600 });
  } catch (error) {
    return err(
      appError('settings.not_saved', `The settings could not be saved (${systemCode(error)}).`, {
        remedy: `Check the free space and the rights of ${configDirectory}. The former settings still hold.`,
        data: { file },
      }),
    );
  }
  return ok(parsed.data);
}

function invalid(error: z.ZodError, remedy: string, file: string): SettingsError {
  const issue = error.issues[0];
  const where = issue === undefined ? '' : issue.path.join('.');
  return appError(
    'settings.invalid',
    `Setting ${where === '' ? '(file)' : `"${where}"`}: ${issue?.message ?? 'invalid'}.`,
    {
      remedy,
      data: { file, setting: where },
    },
  );
}

function systemCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
}

function isMissing(error: unknown): boolean {
  return systemCode(error) === 'ENOENT';
}
