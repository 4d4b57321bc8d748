import { appError, type AppError } from '#shared/errors.ts';

export type LedgerErrorCode =
  | 'ledger.disk_full'
  | 'ledger.disk_failed'
  | 'ledger.busy'
  | 'ledger.corrupt'
  | 'ledger.newer'
  | 'ledger.wrong_role'
  | 'ledger.unreadable';
export type LedgerError = AppError<LedgerErrorCode>;

/** Primary result codes of SQLite, https://www.sqlite.org/rescode.html */
const SQLITE = {
  perm: 3,
  busy: 5,
  locked: 6,
  readOnly: 8,
  ioError: 10,
  corrupt: 11,
  full: 13,
  cantOpen: 14,
  notADatabase: 26,
};

/** The expected ways in which a database fails, as values; undefined for a fault of ours, which the caller throws on. */
export function ledgerErrorOf(fault: unknown, path: string): LedgerError | undefined {
  if (!(fault instanceof Error)) return undefined;
  if (!('errcode' in fault) || typeof fault.errcode !== 'number') return fileErrorOf(fault, path);
  const data = { path, sqlite: fault.errcode };
  // Extended codes carry the primary one in their low byte.
  switch (fault.errcode & 0xff) {
    case SQLITE.full:
      return appError(
        'ledger.disk_full',
        'The disk is full, so nothing more can be recorded and no work is taken on.',
        {
          remedy: 'Free some space on the disk that holds the ledger; work goes on by itself.',
          data,
        },
      );
    case SQLITE.ioError:
      return appError('ledger.disk_failed', 'The disk reported an error while the ledger was read or written.', {
        remedy: 'Check the disk that holds the ledger, then start again.',
        data,
      });
    case SQLITE.busy:
    case SQLITE.locked:
      return appError('ledger.busy', 'Another program holds the ledger.', {
        remedy: 'End the other program that has the ledger open (a second agent, or a database viewer).',
        data,
      });
    case SQLITE.corrupt:
    case SQLITE.notADatabase:
      return corrupt(path, `SQLite code ${fault.errcode}`);
    case SQLITE.readOnly:
    case SQLITE.cantOpen:
    case SQLITE.perm:
      return unreadable(data);
    default:
      return undefined;
  }
}

/** Making the folder fails with the system's own codes. */
function fileErrorOf(fault: Error, path: string): LedgerError | undefined {
  if (!('code' in fault) || typeof fault.code !== 'string') return undefined;
  const data = { path, cause: fault.code };
  if (fault.code === 'ENOSPC') return diskFull(data);
  return ['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EEXIST', 'ENOENT'].includes(fault.code)
    ? unreadable(data)
    : undefined;
}

function diskFull(data: NonNullable<AppError['data']>): LedgerError {
  return appError('ledger.disk_full', 'The disk is full, so nothing more can be recorded and no work is taken on.', {
    remedy: 'Free some space on the disk that holds the ledger; work goes on by itself.',
    data,
  });
}

function unreadable(data: NonNullable<AppError['data']>): LedgerError {
  return appError('ledger.unreadable', 'The ledger cannot be opened for writing.', {
    remedy: 'Make the folder of the ledger writable for this user.',
    data,
  });
}

export function corrupt(path: string, detail: string): LedgerError {
  return appError(
    'ledger.corrupt',
    'The ledger is damaged. It may hold vouchers that are worth money, so it is left as it is.',
    {
      remedy: 'Restore a backup of it, or let it be moved aside and start with an empty one.',
      data: { path, detail },
    },
  );
}
