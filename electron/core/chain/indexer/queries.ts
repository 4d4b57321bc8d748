import type { DatabaseSync } from 'node:sqlite';
import { peerIdText, wei, type Address, type Hex, type PeerIdText, type Wei } from '#shared/units.ts';

export interface Earning {
  readonly channelId: Hex;
  readonly transactionHash: Hex;
  readonly blockNumber: number;
  readonly logIndex: number;
  /** Unix seconds of the block. */
  readonly time: number;
  readonly paidWei: Wei;
  readonly cumulativeWei: Wei;
}

export interface DayEarnings {
  /** UTC, YYYY-MM-DD. */
  readonly day: string;
  readonly paidWei: Wei;
  readonly settlements: number;
}

export interface IndexedChannel {
  readonly channelId: Hex;
  readonly payer: Address;
  readonly payee: Address;
  readonly signer: Address;
  readonly depositWei: Wei;
  readonly settledWei: Wei;
  readonly challengeSeconds: number;
  /** Unix seconds from which the payer may refund; undefined without notice. */
  readonly closeAt: number | undefined;
  readonly closed: boolean;
  readonly openedAt: number;
}

export interface IndexedAgent {
  readonly agentId: bigint;
  readonly uri: string;
  readonly peerId: PeerIdText | undefined;
}

export interface Feedback {
  readonly agentId: bigint;
  readonly client: Address;
  readonly feedbackIndex: bigint;
  readonly value: number;
  readonly tag: string;
  readonly uri: string;
  readonly evidence: Hex;
  readonly time: number;
  readonly transactionHash: Hex;
  readonly revoked: boolean;
}

export interface ReputationView {
  readonly count: number;
  /** Mean of what stands, each value held to 0 to 100; undefined with no feedback. */
  readonly score: number | undefined;
}

/** Place of the last row of a page; hand it back for the next one. */
export interface Before {
  readonly blockNumber: number;
  readonly logIndex: number;
}

type Row = Record<string, unknown>;

const REVOKED = `EXISTS (SELECT 1 FROM chain_feedback_revoked r
  WHERE r.agent_id = f.agent_id AND r.client = f.client AND r.feedback_index = f.feedback_index)`;

/** What the screen and the command line ask of the index. Synchronous, from disk, no chain needed. */
export class IndexQueries {
  readonly #database: DatabaseSync;
  readonly #account: Address;

  constructor(database: DatabaseSync, account: Address) {
    this.#database = database;
    this.#account = account;
  }

  /** Everything ever settled to the account. */
  earnedTotal(): Wei {
    return this.earnedByDay().reduce((sum, day) => wei(sum + day.paidWei), wei(0n));
  }

  /** Newest day first; days without pay are left out. `sinceSeconds` is Unix time. */
  earnedByDay(sinceSeconds = 0): readonly DayEarnings[] {
    const rows = this.#database
      .prepare("SELECT date(time, 'unixepoch') AS day, paid FROM chain_settled WHERE payee = ? AND time >= ?")
      .iterate(this.#account, sinceSeconds);
    const days = new Map<string, { paidWei: bigint; settlements: number }>();
    for (const row of rows) {
      const day = text(row, 'day');
      const sum = days.get(day) ?? { paidWei: 0n, settlements: 0 };
      sum.paidWei += amount(row, 'paid');
      sum.settlements += 1;
      days.set(day, sum);
    }
    return [...days]
      .map(([day, sum]) => ({ day, paidWei: wei(sum.paidWei), settlements: sum.settlements }))
      .sort((a, b) => (a.day < b.day ? 1 : -1));
  }

  /** Newest first. */
  earnings(page: { readonly limit: number; readonly before?: Before }): readonly Earning[] {
    const before = page.before ?? { blockNumber: Number.MAX_SAFE_INTEGER, logIndex: 0 };
    return this.#database
      .prepare(
        `SELECT * FROM chain_settled WHERE payee = ? AND (block, log_index) < (?, ?)
         ORDER BY block DESC, log_index DESC LIMIT ?`,
      )
      .all(this.#account, before.blockNumber, before.logIndex, page.limit)
      .map((row) => ({
        channelId: text(row, 'channel_id') as Hex,
        transactionHash: text(row, 'tx') as Hex,
        blockNumber: Number(row['block']),
        logIndex: Number(row['log_index']),
        time: Number(row['time']),
        paidWei: amount(row, 'paid'),
        cumulativeWei: amount(row, 'cumulative'),
      }));
  }

  /** Channels the account pays or is paid by, newest first. */
  channels(): readonly IndexedChannel[] {
    return this.#database
      .prepare(
        `SELECT o.*,
          (SELECT deposit FROM chain_topped_up t WHERE t.channel_id = o.channel_id ORDER BY block DESC, log_index DESC LIMIT 1) AS topped,
          (SELECT cumulative FROM chain_settled s WHERE s.channel_id = o.channel_id ORDER BY block DESC, log_index DESC LIMIT 1) AS settled,
          (SELECT close_at FROM chain_close_requested q WHERE q.channel_id = o.channel_id LIMIT 1) AS close_at,
          EXISTS (SELECT 1 FROM chain_closed c WHERE c.channel_id = o.channel_id) AS closed
         FROM chain_opened o ORDER BY block DESC, log_index DESC`,
      )
      .all()
      .map((row) => ({
        channelId: text(row, 'channel_id') as Hex,
        payer: text(row, 'payer') as Address,
        payee: text(row, 'payee') as Address,
        signer: text(row, 'signer') as Address,
        depositWei: amount(row, row['topped'] === null ? 'deposit' : 'topped'),
        settledWei: row['settled'] === null ? wei(0n) : amount(row, 'settled'),
        challengeSeconds: Number(row['challenge_seconds']),
        closeAt: row['close_at'] === null ? undefined : Number(row['close_at']),
        closed: row['closed'] === 1,
        openedAt: Number(row['time']),
      }));
  }

  /** Agents this account registered, with the peer each is bound to now. */
  agents(): readonly IndexedAgent[] {
    return this.#database
      .prepare(
        `SELECT agent_id, uri,
          (SELECT peer_id FROM chain_peer_bound p WHERE p.agent_id = g.agent_id ORDER BY block DESC, log_index DESC LIMIT 1) AS peer_id
         FROM chain_registered g WHERE owner = ? ORDER BY block, log_index`,
      )
      .all(this.#account)
      .map((row) => ({
        agentId: BigInt(text(row, 'agent_id')),
        uri: text(row, 'uri'),
        peerId: row['peer_id'] === null ? undefined : peerIdText(text(row, 'peer_id')),
      }));
  }

  reputation(): ReputationView {
    const row = this.#database
      .prepare(
        `SELECT count(*) AS count, avg(min(100.0, max(0.0, value))) AS score FROM chain_feedback f WHERE NOT ${REVOKED}`,
      )
      .get();
    const count = Number(row?.['count'] ?? 0);
    return { count, score: count === 0 ? undefined : Number(row?.['score']) };
  }

  /** Newest first, revoked ones marked. */
  feedback(limit: number): readonly Feedback[] {
    return this.#database
      .prepare(`SELECT f.*, ${REVOKED} AS revoked FROM chain_feedback f ORDER BY block DESC, log_index DESC LIMIT ?`)
      .all(limit)
      .map((row) => ({
        agentId: BigInt(text(row, 'agent_id')),
        client: text(row, 'client') as Address,
        feedbackIndex: BigInt(text(row, 'feedback_index')),
        value: Number(row['value']),
        tag: text(row, 'tag'),
        uri: text(row, 'uri'),
        evidence: text(row, 'evidence') as Hex,
        time: Number(row['time']),
        transactionHash: text(row, 'tx') as Hex,
        revoked: row['revoked'] === 1,
      }));
  }
}

function text(row: Row, column: string): string {
  return String(row[column]);
}

function amount(row: Row, column: string): Wei {
  return wei(BigInt(text(row, column)));
}
