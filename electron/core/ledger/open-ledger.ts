import { existsSync, mkdirSync, renameSync, statSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { appError } from '#shared/errors.ts';
import { err, ok, type Result } from '#shared/result.ts';
import { MiB } from '#shared/units.ts';
import { Database, type TransitionObserver } from './database.ts';
import { corrupt, ledgerErrorOf, type LedgerError } from './errors.ts';
import { PROVIDER_MIGRATIONS } from './provider-schema.ts';
import { ProviderLedger } from './provider-ledger.ts';
import { REQUESTER_MIGRATIONS } from './requester-schema.ts';
import { RequesterLedger } from './requester-ledger.ts';

export interface LedgerOptions {
  readonly observer?: TransitionObserver;
  /** The user's word that a damaged ledger may be renamed and an empty one begun. */
  readonly moveCorruptAside?: boolean;
  /** Tests only: the file may not grow past this many pages of 4 KiB, which looks like a full disk. */
  readonly maxPages?: number;
}

interface Role<L> {
  /** SQLite's application id: keeps one role's file from being opened as the other's. */
  readonly applicationId: number;
  readonly migrations: readonly string[];
  readonly wrap: (db: Database) => L;
}

const ROLES = {
  provider: {
    applicationId: 0x48_50_52_4f,
    migrations: PROVIDER_MIGRATIONS,
    wrap: (db: Database) => new ProviderLedger(db),
  },
  requester: {
    applicationId: 0x48_52_45_51,
    migrations: REQUESTER_MIGRATIONS,
    wrap: (db: Database) => new RequesterLedger(db),
  },
} as const;

/** Reading all pages of a large file takes seconds; SQLite still finds damage in what it touches. */
const CHECKED_BYTES = 64 * MiB;

/**
 * Opens the ledger of one role, creating it or migrating it to this version. Expected failures: ledger.newer (made by a
 * later version), ledger.corrupt (left as it is unless `moveCorruptAside`), ledger.wrong_role, ledger.disk_full,
 * ledger.busy, ledger.unreadable.
 */
export function openLedger(
  file: string,
  role: 'provider',
  options?: LedgerOptions,
): Result<ProviderLedger, LedgerError>;
export function openLedger(
  file: string,
  role: 'requester',
  options?: LedgerOptions,
): Result<RequesterLedger, LedgerError>;
export function openLedger(
  file: string,
  role: keyof typeof ROLES,
  options: LedgerOptions = {},
): Result<ProviderLedger | RequesterLedger, LedgerError> {
  const openRole = (): Result<ProviderLedger | RequesterLedger, LedgerError> =>
    role === 'provider' ? open(file, ROLES.provider, options) : open(file, ROLES.requester, options);
  const opened = openRole();
  if (opened.ok || opened.error.code !== 'ledger.corrupt' || options.moveCorruptAside !== true) return opened;
  moveAside(file);
  return openRole();
}

function open<L>(file: string, role: Role<L>, options: LedgerOptions): Result<L, LedgerError> {
  let db: DatabaseSync | undefined;
  try {
    mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
    const isLarge = existsSync(file) && statSync(file).size > CHECKED_BYTES;
    db = new DatabaseSync(file, { timeout: 5000 });
    db.exec('PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON; PRAGMA synchronous = NORMAL');
    if (options.maxPages !== undefined) db.exec(`PRAGMA max_page_count = ${options.maxPages}`);
    const refused = (isLarge ? undefined : damage(db, file)) ?? misfit(db, role, file);
    if (refused !== undefined) {
      db.close();
      return err(refused);
    }
    migrate(db, role);
    return ok(role.wrap(new Database(db, file, options.observer)));
  } catch (fault) {
    if (db?.isOpen === true) db.close();
    const error = ledgerErrorOf(fault, file);
    if (error === undefined) throw fault;
    return err(error);
  }
}

function pragma(db: DatabaseSync, name: string): number {
  return Number(db.prepare(`PRAGMA ${name}`).get()?.[name] ?? 0);
}

function damage(db: DatabaseSync, file: string): LedgerError | undefined {
  const found = db.prepare('PRAGMA quick_check(1)').get()?.['quick_check'];
  return found === 'ok' ? undefined : corrupt(file, String(found));
}

function misfit<L>(db: DatabaseSync, role: Role<L>, file: string): LedgerError | undefined {
  const version = pragma(db, 'user_version');
  const application = pragma(db, 'application_id');
  if (application !== role.applicationId && (version !== 0 || application !== 0)) {
    return appError('ledger.wrong_role', 'This file is not the ledger that belongs here.', {
      remedy: 'Give each role its own data folder, or restore the file that was here.',
      data: { path: file },
    });
  }
  if (version <= role.migrations.length) return undefined;
  return appError('ledger.newer', 'The ledger was written by a newer version of Hearth.', {
    remedy: 'Update Hearth, then start it again.',
    data: { path: file, version, known: role.migrations.length },
  });
}

/** Each migration commits with its number, so that a crash between two of them is resumed. */
function migrate<L>(db: DatabaseSync, role: Role<L>): void {
  for (const [at, sql] of role.migrations.entries()) {
    if (at < pragma(db, 'user_version')) continue;
    db.exec('BEGIN IMMEDIATE');
    db.exec(sql);
    db.exec(`PRAGMA application_id = ${role.applicationId}; PRAGMA user_version = ${at + 1}`);
    db.exec('COMMIT');
  }
}

function moveAside(file: string): void {
  const suffix = `.corrupt-${Date.now()}`;
  for (const part of ['', '-wal', '-shm']) {
    if (existsSync(file + part)) renameSync(file + part, file + suffix + part);
  }
}
