import type { DatabaseSync } from 'node:sqlite';
import type { Address, Hex } from '#shared/units.ts';
import type { ChainEvent } from './events.ts';

/**
 * Events are kept as they happened, each with its place on the chain, and never updated: what a reorganisation takes
 * back is deleted by block number, and every view is computed from what is left. Amounts are TEXT: they do not fit
 * SQLite's integers.
 */
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS chain_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID, STRICT;
  CREATE TABLE IF NOT EXISTS chain_blocks (number INTEGER PRIMARY KEY, hash TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS chain_opened (
    block INTEGER NOT NULL, log_index INTEGER NOT NULL, tx TEXT NOT NULL, time INTEGER NOT NULL,
    channel_id TEXT NOT NULL, payer TEXT NOT NULL, payee TEXT NOT NULL, signer TEXT NOT NULL,
    deposit TEXT NOT NULL, challenge_seconds INTEGER NOT NULL,
    PRIMARY KEY (block, log_index)) WITHOUT ROWID, STRICT;
  CREATE TABLE IF NOT EXISTS chain_topped_up (
    block INTEGER NOT NULL, log_index INTEGER NOT NULL, tx TEXT NOT NULL, time INTEGER NOT NULL,
    channel_id TEXT NOT NULL, deposit TEXT NOT NULL,
    PRIMARY KEY (block, log_index)) WITHOUT ROWID, STRICT;
  CREATE TABLE IF NOT EXISTS chain_settled (
    block INTEGER NOT NULL, log_index INTEGER NOT NULL, tx TEXT NOT NULL, time INTEGER NOT NULL,
    channel_id TEXT NOT NULL, payee TEXT NOT NULL, paid TEXT NOT NULL, cumulative TEXT NOT NULL,
    PRIMARY KEY (block, log_index)) WITHOUT ROWID, STRICT;
  CREATE TABLE IF NOT EXISTS chain_close_requested (
    block INTEGER NOT NULL, log_index INTEGER NOT NULL, tx TEXT NOT NULL, time INTEGER NOT NULL,
    channel_id TEXT NOT NULL, close_at INTEGER NOT NULL,
    PRIMARY KEY (block, log_index)) WITHOUT ROWID, STRICT;
  CREATE TABLE IF NOT EXISTS chain_closed (
    block INTEGER NOT NULL, log_index INTEGER NOT NULL, tx TEXT NOT NULL, time INTEGER NOT NULL,
    channel_id TEXT NOT NULL, settled TEXT NOT NULL, refunded TEXT NOT NULL,
    PRIMARY KEY (block, log_index)) WITHOUT ROWID, STRICT;
  CREATE TABLE IF NOT EXISTS chain_registered (
    block INTEGER NOT NULL, log_index INTEGER NOT NULL, tx TEXT NOT NULL, time INTEGER NOT NULL,
    agent_id TEXT NOT NULL, owner TEXT NOT NULL, uri TEXT NOT NULL,
    PRIMARY KEY (block, log_index)) WITHOUT ROWID, STRICT;
  CREATE TABLE IF NOT EXISTS chain_peer_bound (
    block INTEGER NOT NULL, log_index INTEGER NOT NULL, tx TEXT NOT NULL, time INTEGER NOT NULL,
    agent_id TEXT NOT NULL, peer_id TEXT,
    PRIMARY KEY (block, log_index)) WITHOUT ROWID, STRICT;
  CREATE TABLE IF NOT EXISTS chain_feedback (
    block INTEGER NOT NULL, log_index INTEGER NOT NULL, tx TEXT NOT NULL, time INTEGER NOT NULL,
    agent_id TEXT NOT NULL, client TEXT NOT NULL, feedback_index TEXT NOT NULL,
    value REAL NOT NULL, tag TEXT NOT NULL, uri TEXT NOT NULL, evidence TEXT NOT NULL,
    PRIMARY KEY (block, log_index)) WITHOUT ROWID, STRICT;
  CREATE TABLE IF NOT EXISTS chain_feedback_revoked (
    block INTEGER NOT NULL, log_index INTEGER NOT NULL, tx TEXT NOT NULL, time INTEGER NOT NULL,
    agent_id TEXT NOT NULL, client TEXT NOT NULL, feedback_index TEXT NOT NULL,
    PRIMARY KEY (block, log_index)) WITHOUT ROWID, STRICT;
  CREATE UNIQUE INDEX IF NOT EXISTS chain_opened_channel ON chain_opened (channel_id);
  CREATE INDEX IF NOT EXISTS chain_settled_payee ON chain_settled (payee, block);
  CREATE INDEX IF NOT EXISTS chain_settled_channel ON chain_settled (channel_id, block);
  CREATE INDEX IF NOT EXISTS chain_topped_up_channel ON chain_topped_up (channel_id, block);
  CREATE INDEX IF NOT EXISTS chain_close_requested_channel ON chain_close_requested (channel_id);
  CREATE INDEX IF NOT EXISTS chain_closed_channel ON chain_closed (channel_id);
  CREATE INDEX IF NOT EXISTS chain_feedback_revoked_entry ON chain_feedback_revoked (agent_id, client, feedback_index);
`;

const EVENT_TABLES = [
  'chain_opened',
  'chain_topped_up',
  'chain_settled',
  'chain_close_requested',
  'chain_closed',
  'chain_registered',
  'chain_peer_bound',
  'chain_feedback',
  'chain_feedback_revoked',
] as const;

/** Blocks whose hashes are kept to find where a reorganisation began; one deeper than all of them starts anew. */
const CHECKPOINTS = 128;

export interface Checkpoint {
  readonly number: number;
  readonly hash: Hex;
}

/** Tables of the index, prefix chain_, in a database that may hold others'. */
export class IndexStore {
  readonly #database: DatabaseSync;

  /** `identity` names chain, contracts and account; rows of another one are dropped. */
  constructor(database: DatabaseSync, identity: string) {
    this.#database = database;
    database.exec(SCHEMA);
    const stored = database.prepare("SELECT value FROM chain_meta WHERE key = 'identity'").get();
    if (stored?.['value'] === identity) return;
    this.#transaction(() => {
      this.#deleteFrom(0);
      database.prepare("INSERT OR REPLACE INTO chain_meta (key, value) VALUES ('identity', ?)").run(identity);
    });
  }

  /** Newest first. */
  checkpoints(): readonly Checkpoint[] {
    return this.#database
      .prepare('SELECT number, hash FROM chain_blocks ORDER BY number DESC')
      .all()
      .map((row) => ({ number: Number(row['number']), hash: String(row['hash']) as Hex }));
  }

  /** Next block to be read; undefined before the first. */
  cursor(): number | undefined {
    const row = this.#database.prepare("SELECT value FROM chain_meta WHERE key = 'cursor'").get();
    return row ? Number(row['value']) : undefined;
  }

  /** Takes back everything from this block on. */
  rewindTo(block: number): void {
    this.#transaction(() => {
      this.#deleteFrom(block);
      this.#setCursor(block);
    });
  }

  /** Events of a range, the hash of its last block and the cursor: all or nothing. */
  append(events: readonly ChainEvent[], last: Checkpoint): void {
    this.#transaction(() => {
      for (const event of events) this.#insert(event);
      this.#database
        .prepare('INSERT OR REPLACE INTO chain_blocks (number, hash) VALUES (?, ?)')
        .run(last.number, last.hash);
      this.#database
        .prepare(
          'DELETE FROM chain_blocks WHERE number NOT IN (SELECT number FROM chain_blocks ORDER BY number DESC LIMIT ?)',
        )
        .run(CHECKPOINTS);
      this.#setCursor(last.number + 1);
    });
  }

  /** Channels that have not ended, in lower case. */
  liveChannels(): readonly Hex[] {
    const sql = 'SELECT channel_id FROM chain_opened WHERE channel_id NOT IN (SELECT channel_id FROM chain_closed)';
    return this.#database
      .prepare(sql)
      .all()
      .map((row) => String(row['channel_id']) as Hex);
  }

  agentsOf(owner: Address): readonly bigint[] {
    return this.#database
      .prepare('SELECT agent_id FROM chain_registered WHERE owner = ? ORDER BY block, log_index')
      .all(owner)
      .map((row) => BigInt(String(row['agent_id'])));
  }

  #insert(event: ChainEvent): void {
    const { at } = event;
    const place = [at.block, at.logIndex, at.transactionHash, at.time] as const;
    const insert = (table: (typeof EVENT_TABLES)[number], ...values: readonly (string | number | null)[]) => {
      const marks = Array.from({ length: place.length + values.length }, () => '?').join(', ');
      this.#database.prepare(`INSERT OR REPLACE INTO ${table} VALUES (${marks})`).run(...place, ...values);
    };
    switch (event.kind) {
      case 'opened': {
        const { channelId, payer, payee, signer, depositWei, challengeSeconds } = event;
        return insert('chain_opened', channelId, payer, payee, signer, depositWei.toString(), challengeSeconds);
      }
      case 'topped_up':
        return insert('chain_topped_up', event.channelId, event.depositWei.toString());
      case 'settled': {
        const { channelId, payee, paidWei, cumulativeWei } = event;
        return insert('chain_settled', channelId, payee, paidWei.toString(), cumulativeWei.toString());
      }
      case 'close_requested':
        return insert('chain_close_requested', event.channelId, event.closeAt);
      case 'closed':
        return insert('chain_closed', event.channelId, event.settledWei.toString(), event.refundedWei.toString());
      case 'registered':
        return insert('chain_registered', event.agentId.toString(), event.owner, event.uri);
      case 'peer_bound':
        return insert('chain_peer_bound', event.agentId.toString(), event.peerId ?? null);
      case 'feedback': {
        const { agentId, client, feedbackIndex, value, tag, uri, evidence } = event;
        const index = feedbackIndex.toString();
        return insert('chain_feedback', agentId.toString(), client, index, value, tag, uri, evidence);
      }
      case 'feedback_revoked': {
        const index = event.feedbackIndex.toString();
        return insert('chain_feedback_revoked', event.agentId.toString(), event.client, index);
      }
    }
  }

  #deleteFrom(block: number): void {
    for (const table of EVENT_TABLES) this.#database.prepare(`DELETE FROM ${table} WHERE block >= ?`).run(block);
    this.#database.prepare('DELETE FROM chain_blocks WHERE number >= ?').run(block);
    if (block === 0) this.#database.exec("DELETE FROM chain_meta WHERE key = 'cursor'");
  }

  #setCursor(next: number): void {
    this.#database.prepare("INSERT OR REPLACE INTO chain_meta (key, value) VALUES ('cursor', ?)").run(String(next));
  }

  #transaction(task: () => void): void {
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      task();
      this.#database.exec('COMMIT');
    } catch (error) {
      this.#database.exec('ROLLBACK');
      throw error;
    }
  }
}
