import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import { openLedger } from '#core/ledger/open-ledger.ts';
import { tempDir } from '#support/temp-dir.ts';

const fresh = () => path.join(tempDir(), 'ledger', 'provider.db');

function opened(file: string) {
  const ledger = openLedger(file, 'provider');
  if (!ledger.ok) throw new Error(ledger.error.message);
  return ledger.value;
}

describe('openLedger', () => {
  it('creates the folder and the file, and opens them again', () => {
    const file = fresh();
    opened(file).close();
    const again = opened(file);
    expect(again.leases.open()).toEqual([]);
    again.close();
  });

  it('refuses a file that a newer version wrote, and leaves it alone', () => {
    const file = fresh();
    opened(file).close();
    const db = new DatabaseSync(file);
    db.exec('PRAGMA user_version = 99');
    db.close();
    const before = readFileSync(file);
    expect(openLedger(file, 'provider', { moveCorruptAside: true })).toMatchObject({ error: { code: 'ledger.newer' } });
    expect(readFileSync(file).equals(before)).toBe(true);
  });

  it('refuses the file of the other role and a database of another program', () => {
    const file = fresh();
    opened(file).close();
    expect(openLedger(file, 'requester')).toMatchObject({ error: { code: 'ledger.wrong_role' } });
    const foreign = path.join(tempDir(), 'other.db');
    const db = new DatabaseSync(foreign);
    db.exec('CREATE TABLE t (x); PRAGMA user_version = 1');
    db.close();
    expect(openLedger(foreign, 'provider')).toMatchObject({ error: { code: 'ledger.wrong_role' } });
  });

  it('says that a damaged file is damaged and moves it aside only when told to', () => {
    const file = fresh();
    opened(file).close();
    const bytes = readFileSync(file);
    bytes.fill(0x5a, 4096, 4096 * 3);
    writeFileSync(file, bytes);
    expect(openLedger(file, 'provider')).toMatchObject({ error: { code: 'ledger.corrupt' } });
    expect(readFileSync(file).equals(bytes)).toBe(true);
    const moved = openLedger(file, 'provider', { moveCorruptAside: true });
    expect(moved.ok).toBe(true);
    if (moved.ok) moved.value.close();
    const aside = readdirSync(path.dirname(file)).find((name) => name.includes('.corrupt-'));
    expect(readFileSync(path.join(path.dirname(file), aside ?? '')).equals(bytes)).toBe(true);
  });

  it('says that garbage is damaged', () => {
    const file = path.join(tempDir(), 'garbage.db');
    writeFileSync(file, 'not a database at all, but long enough to look at'.repeat(40));
    expect(openLedger(file, 'requester')).toMatchObject({ error: { code: 'ledger.corrupt' } });
  });

  it('says that a folder cannot be written', () => {
    const file = path.join(tempDir(), 'plain-file');
    writeFileSync(file, '');
    expect(openLedger(path.join(file, 'ledger.db'), 'provider')).toMatchObject({
      error: { code: 'ledger.unreadable' },
    });
    expect(openLedger(path.dirname(file), 'provider')).toMatchObject({ error: { code: 'ledger.unreadable' } });
  });
});
