import type { Backend } from '#core/compute/port.ts';
import type { Result } from '#shared/result.ts';
import type { PeerIdText, Sha256Hex } from '#shared/units.ts';
import type { Database } from './database.ts';
import type { LedgerError } from './errors.ts';
import { ProviderLeases } from './provider-leases.ts';
import { ProviderMoney } from './provider-money.ts';
import { numberOf } from './rows.ts';

/** All that a contributor's agent must not forget. */
export class ProviderLedger {
  readonly leases: ProviderLeases;
  readonly money: ProviderMoney;
  private readonly db: Database;

  constructor(db: Database) {
    this.db = db;
    this.leases = new ProviderLeases(db);
    this.money = new ProviderMoney(db);
  }

  /** Measured time of one shard; undefined for a model not run before. */
  shardMs(model: Sha256Hex, backend: Backend): number | undefined {
    const row = this.db.get('SELECT shard_ms FROM speeds WHERE model_digest = ? AND backend = ?', model, backend);
    return row === undefined ? undefined : numberOf(row, 'shard_ms');
  }

  saveShardMs(model: Sha256Hex, backend: Backend, shardMs: number): Result<void, LedgerError> {
    return this.db.write(() => {
      this.db.run(
        'INSERT OR REPLACE INTO speeds (model_digest, backend, shard_ms) VALUES (?, ?, ?)',
        model,
        backend,
        shardMs,
      );
    });
  }

  /** Unix milliseconds until which this requester is left alone; 0 for one of good standing. */
  avoidUntil(peer: PeerIdText): number {
    const row = this.db.get('SELECT avoid_until FROM peers WHERE peer = ?', peer);
    return row === undefined ? 0 : numberOf(row, 'avoid_until');
  }

  avoid(peer: PeerIdText, until: number, now: number): Result<void, LedgerError> {
    return this.db.write(() => {
      this.db.run(
        `INSERT INTO peers (peer, avoid_until, last_seen) VALUES (?, ?, ?)
         ON CONFLICT (peer) DO UPDATE SET avoid_until = excluded.avoid_until`,
        peer,
        until,
        now,
      );
    });
  }

  close(): void {
    this.db.close();
  }
}
