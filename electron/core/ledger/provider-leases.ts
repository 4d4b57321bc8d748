import { isFinal, type LeaseState } from '#shared/model/job-states.ts';
import type { Result } from '#shared/result.ts';
import type { LeaseId, OfferId, TensorLayout, VerdictItem } from '#shared/protocol/work-messages.ts';
import { wei, type Hex, type PeerIdText, type Sha256Hex, type Wei } from '#shared/units.ts';
import type { Database, Move, Row } from './database.ts';
import type { LedgerError } from './errors.ts';
import { amount, bytesOf, hexOf, joinBytes, layoutBlob, layoutOfRow, maybe, numberOf, textOf, weiOf } from './rows.ts';

export interface LeaseRow {
  readonly leaseId: LeaseId;
  readonly offerId: OfferId;
  readonly requester: PeerIdText;
  readonly channelId: Hex;
  readonly state: LeaseState;
  /** For one accepted shard. */
  readonly priceWei: Wei;
  readonly shards: number;
  readonly accepted: number;
  readonly refused: number;
  readonly statementDigest: Sha256Hex;
  /** Unix milliseconds. */
  readonly expiresAt: number;
}

export type NewLease = Omit<LeaseRow, 'state' | 'accepted' | 'refused'> & { readonly statement: Uint8Array };

/** One shard's outcome: outputs (in the layout's order), or an error code and no digest. */
export interface StoredResult {
  readonly index: number;
  readonly code: string;
  readonly layout: TensorLayout;
  readonly digest: Sha256Hex | undefined;
  readonly computeMicros: number;
  readonly outputs: readonly Uint8Array[];
}

export interface Engagement {
  readonly offerId: OfferId;
  readonly requester: PeerIdText;
  /** The offer's bytes as they were gossiped. */
  readonly offer: Uint8Array;
  readonly channelId: Hex | undefined;
}

export interface Judgement {
  readonly accepted: number;
  readonly refused: number;
  readonly earnedWei: Wei;
  readonly state: LeaseState;
}

const OPEN = `state NOT IN ('paid', 'refused', 'expired', 'returned', 'abandoned')`;

/** Leases and their results, as the provider's ledger keeps them. */
export class ProviderLeases {
  private readonly db: Database;

  constructor(db: Database) {
    this.db = db;
  }

  saveEngagement(engagement: Engagement, now: number): Result<void, LedgerError> {
    return this.db.write(() => {
      this.db.run(
        `INSERT INTO engagements (offer_id, requester, offer, channel_id, updated_at) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (offer_id) DO UPDATE SET offer = excluded.offer, updated_at = excluded.updated_at,
           channel_id = coalesce(excluded.channel_id, channel_id)`,
        engagement.offerId,
        engagement.requester,
        engagement.offer,
        engagement.channelId ?? null,
        now,
      );
    });
  }

  /** Offers with unfinished leases: what has to be taken up again after a restart. */
  unfinishedEngagements(): readonly Engagement[] {
    return this.db
      .all(
        `SELECT * FROM engagements e WHERE EXISTS (SELECT 1 FROM leases l WHERE l.offer_id = e.offer_id AND ${OPEN})`,
      )
      .map(engagementOf);
  }

  engagement(offerId: OfferId): Engagement | undefined {
    const row = this.db.get('SELECT * FROM engagements WHERE offer_id = ?', offerId);
    return row === undefined ? undefined : engagementOf(row);
  }

  grant(lease: NewLease, now: number): Result<void, LedgerError> {
    return this.db.transition([{ machine: 'lease', id: lease.leaseId, from: undefined, to: 'granted' }], () => {
      this.db.run(
        `INSERT INTO leases (lease_id, offer_id, requester, channel_id, state, price_wei, shards, statement,
           statement_digest, expires_at, granted_at) VALUES (?, ?, ?, ?, 'granted', ?, ?, ?, ?, ?, ?)`,
        lease.leaseId,
        lease.offerId,
        lease.requester,
        lease.channelId,
        amount(lease.priceWei),
        lease.shards,
        lease.statement,
        lease.statementDigest,
        lease.expiresAt,
        now,
      );
    });
  }

  /** Any move that carries nothing else: running, submitted, returned, expired, abandoned. */
  move(leases: readonly LeaseRow[], to: LeaseState): Result<void, LedgerError> {
    const moves = leases.map(({ leaseId, state }): Move<'lease'> => ({
      machine: 'lease',
      id: leaseId,
      from: state,
      to,
    }));
    return this.db.transition(moves, () => {
      for (const { leaseId, state } of leases) this.setState(leaseId, state, to);
    });
  }

  /** Outputs and state in one commit: a result that is in the ledger is never computed again. */
  computed(leaseId: LeaseId, results: readonly StoredResult[]): Result<void, LedgerError> {
    return this.db.transition([{ machine: 'lease', id: leaseId, from: 'running', to: 'computed' }], () => {
      for (const result of results) {
        this.db.run(
          `INSERT INTO results (lease_id, shard, code, layout, digest, compute_micros, outputs) VALUES (?, ?, ?, ?, ?, ?, ?)`,
          leaseId,
          result.index,
          result.code,
          layoutBlob(result.layout),
          result.digest ?? null,
          result.computeMicros,
          result.code === '' ? joinBytes(result.outputs) : null,
        );
      }
      this.setState(leaseId, 'running', 'computed');
    });
  }

  /** Takes in verdicts; those for shards already judged change nothing. What was accepted raises what the channel's voucher must reach. */
  judge(leaseId: LeaseId, verdicts: readonly VerdictItem[], now: number): Result<Judgement | undefined, LedgerError> {
    const lease = this.lease(leaseId);
    if (lease === undefined || isFinal('lease', lease.state)) return { ok: true, value: undefined };
    const waiting = new Set(
      this.db
        .all('SELECT shard FROM results WHERE lease_id = ? AND verdict IS NULL', leaseId)
        .map((row) => numberOf(row, 'shard')),
    );
    const fresh = verdicts.filter(({ index }) => waiting.delete(index));
    const accepted = fresh.filter(({ outcome }) => outcome === 'accepted').length;
    const refused = fresh.length - accepted;
    const earnedWei = wei(BigInt(accepted) * lease.priceWei);
    const to = waiting.size > 0 ? 'judged' : this.endOf(lease, accepted, earnedWei);
    const moves: Move<'lease'>[] = [{ machine: 'lease', id: leaseId, from: lease.state, to: 'judged' }];
    if (to !== 'judged') moves.push({ machine: 'lease', id: leaseId, from: 'judged', to });
    const stored = this.db.transition(moves, () => {
      for (const { index, outcome } of fresh) {
        this.db.run(
          'UPDATE results SET verdict = ?, outputs = NULL WHERE lease_id = ? AND shard = ?',
          outcome,
          leaseId,
          index,
        );
      }
      this.db.runOne(
        'UPDATE leases SET state = ?, accepted = accepted + ?, refused = refused + ? WHERE lease_id = ? AND state = ?',
        to,
        accepted,
        refused,
        leaseId,
        lease.state,
      );
      this.raiseImplied(lease, earnedWei, now);
      this.notePeer(lease.requester, accepted, refused, now);
      if (to !== 'judged') this.forgetResults(leaseId);
    });
    return stored.ok ? { ok: true, value: { accepted, refused, earnedWei, state: to } } : stored;
  }

  lease(leaseId: LeaseId): LeaseRow | undefined {
    const row = this.db.get('SELECT * FROM leases WHERE lease_id = ?', leaseId);
    return row === undefined ? undefined : leaseOf(row);
  }

  /** Leases that are not at their end, oldest first. */
  open(offerId?: OfferId): readonly LeaseRow[] {
    return offerId === undefined
      ? this.db.all(`SELECT * FROM leases WHERE ${OPEN} ORDER BY granted_at`).map(leaseOf)
      : this.db.all(`SELECT * FROM leases WHERE offer_id = ? AND ${OPEN} ORDER BY granted_at`, offerId).map(leaseOf);
  }

  /** Results of a lease that have no verdict yet, with their outputs. */
  waitingResults(leaseId: LeaseId): readonly StoredResult[] {
    return this.db
      .all('SELECT * FROM results WHERE lease_id = ? AND verdict IS NULL ORDER BY shard', leaseId)
      .map((row) => ({
        index: numberOf(row, 'shard'),
        code: textOf(row, 'code'),
        layout: layoutOfRow(row),
        digest: maybe(row, 'digest', textOf<Sha256Hex>),
        computeMicros: numberOf(row, 'compute_micros'),
        outputs: row['outputs'] === null ? [] : [bytesOf(row, 'outputs')],
      }));
  }

  /** Digests of every result of a lease, judged or not: what the closing statement is made of. */
  digests(leaseId: LeaseId): readonly { readonly index: number; readonly digest: Sha256Hex }[] {
    return this.db
      .all('SELECT shard, digest FROM results WHERE lease_id = ? AND digest IS NOT NULL ORDER BY shard', leaseId)
      .map((row) => ({ index: numberOf(row, 'shard'), digest: textOf<Sha256Hex>(row, 'digest') }));
  }

  /** Ends leases without pay; outputs go. */
  drop(leases: readonly LeaseRow[], to: 'expired' | 'returned' | 'abandoned'): Result<void, LedgerError> {
    const moves = leases.map(({ leaseId, state }): Move<'lease'> => ({
      machine: 'lease',
      id: leaseId,
      from: state,
      to,
    }));
    return this.db.transition(moves, () => {
      for (const { leaseId, state } of leases) {
        this.setState(leaseId, state, to);
        this.forgetResults(leaseId);
      }
    });
  }

  /** Final leases older than this (Unix milliseconds) are forgotten; what they earned stands in vouchers and settlements. */
  prune(grantedBefore: number): Result<void, LedgerError> {
    return this.db.write(() => {
      this.db.run(
        `DELETE FROM results WHERE lease_id IN (SELECT lease_id FROM leases WHERE granted_at < ? AND NOT (${OPEN}))`,
        grantedBefore,
      );
      this.db.run(`DELETE FROM leases WHERE granted_at < ? AND NOT (${OPEN})`, grantedBefore);
    });
  }

  private setState(leaseId: LeaseId, from: LeaseState, to: LeaseState): void {
    this.db.runOne('UPDATE leases SET state = ? WHERE lease_id = ? AND state = ?', to, leaseId, from);
  }

  private forgetResults(leaseId: LeaseId): void {
    this.db.run('DELETE FROM results WHERE lease_id = ?', leaseId);
    this.db.run('UPDATE leases SET statement = NULL WHERE lease_id = ?', leaseId);
  }

  /** A lease with all its verdicts: refused as a whole, paid where the newest voucher covers it already, else waiting for pay. */
  private endOf(lease: LeaseRow, accepted: number, earnedWei: Wei): 'refused' | 'paid' | 'judged' {
    if (lease.accepted + accepted === 0) return 'refused';
    const implied = this.db.get('SELECT implied_wei FROM channels WHERE channel_id = ?', lease.channelId);
    const held = this.db.get(
      'SELECT cumulative_wei FROM vouchers WHERE channel_id = ? ORDER BY id DESC LIMIT 1',
      lease.channelId,
    );
    const owedWei = (implied === undefined ? 0n : weiOf(implied, 'implied_wei')) + earnedWei;
    return owedWei <= (held === undefined ? 0n : weiOf(held, 'cumulative_wei')) ? 'paid' : 'judged';
  }

  private raiseImplied(lease: LeaseRow, byWei: Wei, now: number): void {
    if (byWei === 0n) return;
    const row = this.db.get('SELECT implied_wei FROM channels WHERE channel_id = ?', lease.channelId);
    if (row === undefined) throw new Error(`lease ${lease.leaseId} has no channel`);
    const implied = wei(weiOf(row, 'implied_wei') + byWei);
    this.db.runOne(
      'UPDATE channels SET implied_wei = ?, updated_at = ? WHERE channel_id = ?',
      amount(implied),
      now,
      lease.channelId,
    );
  }

  private notePeer(peer: PeerIdText, accepted: number, refused: number, now: number): void {
    this.db.run(
      `INSERT INTO peers (peer, accepted, refused, last_seen) VALUES (?, ?, ?, ?) ON CONFLICT (peer) DO UPDATE
       SET accepted = accepted + excluded.accepted, refused = refused + excluded.refused, last_seen = excluded.last_seen`,
      peer,
      accepted,
      refused,
      now,
    );
  }
}

function leaseOf(row: Row): LeaseRow {
  return {
    leaseId: textOf<LeaseId>(row, 'lease_id'),
    offerId: textOf<OfferId>(row, 'offer_id'),
    requester: textOf<PeerIdText>(row, 'requester'),
    channelId: hexOf(row, 'channel_id'),
    state: textOf<LeaseState>(row, 'state'),
    priceWei: weiOf(row, 'price_wei'),
    shards: numberOf(row, 'shards'),
    accepted: numberOf(row, 'accepted'),
    refused: numberOf(row, 'refused'),
    statementDigest: textOf<Sha256Hex>(row, 'statement_digest'),
    expiresAt: numberOf(row, 'expires_at'),
  };
}

function engagementOf(row: Row): Engagement {
  return {
    offerId: textOf<OfferId>(row, 'offer_id'),
    requester: textOf<PeerIdText>(row, 'requester'),
    offer: bytesOf(row, 'offer'),
    channelId: maybe(row, 'channel_id', hexOf),
  };
}
