import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { z } from 'zod';
import type { Hex } from '#shared/units.ts';
import type { Genesis } from './evm.ts';

/** One block of the practice chain: its time and its only transaction, if any. */
export interface JournalEntry {
  /** Unix seconds. */
  readonly timestamp: number;
  /** Signed transaction; undefined for an empty block. */
  readonly transaction: Uint8Array | undefined;
  readonly blockHash: Hex;
}

const genesisSchema = z.object({
  chainId: z.number().int().positive(),
  hardfork: z.string().max(32),
  time: z.number().int().nonnegative(),
  balances: z
    .array(
      z.object({
        address: z
          .string()
          .regex(/^0x[0-9a-fA-F]{40}$/)
          .transform((text) => text as Hex),
        wei: z
          .string()
          .regex(/^[0-9]{1,78}$/)
          .transform(BigInt),
      }),
    )
    .max(64),
});

export const JOURNAL_FILE = 'journal.sqlite';

/**
 * The practice chain's memory: every block's input, in order. The EVM keeps nothing on disk, so a start replays this
 * to the same tip. One process at a time: a second one finds the database locked.
 */
export class Journal {
  readonly #database: DatabaseSync;
  readonly #insert: StatementSync;

  /** Throws SQLite's own error (errcode 5 where another process has it open, 11 or 26 where the file is damaged). */
  constructor(directory: string) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.#database = new DatabaseSync(path.join(directory, JOURNAL_FILE), { timeout: 0 });
    try {
      // Exclusive before anything else: the lock is what keeps two chains off one journal.
      this.#database.exec(`
        PRAGMA locking_mode = EXCLUSIVE;
        PRAGMA journal_mode = WAL;
        PRAGMA synchronous = NORMAL;
        BEGIN EXCLUSIVE;
        CREATE TABLE IF NOT EXISTS practice_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID, STRICT;
        CREATE TABLE IF NOT EXISTS practice_blocks (
          number INTEGER PRIMARY KEY, timestamp INTEGER NOT NULL, tx BLOB, hash TEXT NOT NULL
        ) STRICT;
        COMMIT;
      `);
      this.#insert = this.#database.prepare('INSERT INTO practice_blocks (timestamp, tx, hash) VALUES (?, ?, ?)');
    } catch (error) {
      this.#database.close();
      throw error;
    }
  }

  /** The stored genesis, or `fresh`, which is stored. */
  genesis(fresh: Genesis): Genesis {
    const row = this.#database.prepare("SELECT value FROM practice_meta WHERE key = 'genesis'").get();
    if (row) return genesisSchema.parse(JSON.parse(String(row['value'])));
    const text = JSON.stringify(fresh, (_key, value: unknown) =>
      typeof value === 'bigint' ? value.toString() : value,
    );
    this.#database.prepare("INSERT INTO practice_meta (key, value) VALUES ('genesis', ?)").run(text);
    return fresh;
  }

  append(entry: JournalEntry): void {
    this.#insert.run(entry.timestamp, entry.transaction ?? null, entry.blockHash);
  }

  *entries(): Generator<JournalEntry> {
    for (const row of this.#database
      .prepare('SELECT timestamp, tx, hash FROM practice_blocks ORDER BY number')
      .iterate()) {
      yield {
        timestamp: Number(row['timestamp']),
        transaction: row['tx'] instanceof Uint8Array ? row['tx'] : undefined,
        blockHash: String(row['hash']) as Hex,
      };
    }
  }

  get length(): number {
    return Number(this.#database.prepare('SELECT count(*) AS n FROM practice_blocks').get()?.['n'] ?? 0);
  }

  close(): void {
    this.#database.close();
  }
}
