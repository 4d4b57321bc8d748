/** Numbered migrations: only ever add at the end. Amounts are decimal TEXT, since SQLite's integers and sums overflow. */
export const PROVIDER_MIGRATIONS: readonly string[] = [
  `
  -- Offers this node has worked on: what it needs to find the requester again after a restart.
  CREATE TABLE engagements (
    offer_id TEXT PRIMARY KEY,
    requester TEXT NOT NULL,
    offer BLOB NOT NULL,
    channel_id TEXT,
    updated_at INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE leases (
    lease_id TEXT PRIMARY KEY,
    offer_id TEXT NOT NULL REFERENCES engagements (offer_id),
    requester TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    state TEXT NOT NULL,
    price_wei TEXT NOT NULL,
    shards INTEGER NOT NULL,
    accepted INTEGER NOT NULL DEFAULT 0,
    refused INTEGER NOT NULL DEFAULT 0,
    -- The requester's signed statement and its digest: evidence until the lease is final.
    statement BLOB,
    statement_digest TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    granted_at INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX leases_open ON leases (offer_id, state) WHERE state NOT IN ('paid', 'refused', 'expired', 'returned', 'abandoned');

  -- Results until they are judged; outputs go with the verdict, rows with the end of the lease.
  CREATE TABLE results (
    lease_id TEXT NOT NULL REFERENCES leases (lease_id),
    shard INTEGER NOT NULL,
    code TEXT NOT NULL,
    layout BLOB NOT NULL,
    digest TEXT,
    compute_micros INTEGER NOT NULL,
    outputs BLOB,
    verdict TEXT,
    PRIMARY KEY (lease_id, shard)
  ) STRICT;

  CREATE TABLE channels (
    channel_id TEXT PRIMARY KEY,
    requester TEXT NOT NULL,
    state TEXT NOT NULL,
    payer TEXT NOT NULL,
    signer TEXT NOT NULL,
    deposit_wei TEXT NOT NULL,
    settled_wei TEXT NOT NULL,
    -- What the newest voucher must reach: its value when this channel was first seen, plus all accepted since.
    implied_wei TEXT NOT NULL,
    close_at INTEGER,
    updated_at INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE vouchers (
    id INTEGER PRIMARY KEY,
    channel_id TEXT NOT NULL REFERENCES channels (channel_id),
    cumulative_wei TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    signature TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    settled INTEGER NOT NULL DEFAULT 0,
    UNIQUE (channel_id, cumulative_wei)
  ) STRICT;
  CREATE INDEX vouchers_newest ON vouchers (channel_id, id);

  CREATE TABLE settlements (
    id INTEGER PRIMARY KEY,
    channel_id TEXT NOT NULL REFERENCES channels (channel_id),
    -- Empty when the chain showed the settlement after a crash had eaten its receipt.
    transaction_hash TEXT NOT NULL,
    block_number INTEGER NOT NULL,
    paid_wei TEXT NOT NULL,
    cumulative_wei TEXT NOT NULL,
    settled_at INTEGER NOT NULL,
    UNIQUE (channel_id, cumulative_wei)
  ) STRICT;

  CREATE TABLE peers (
    peer TEXT PRIMARY KEY,
    accepted INTEGER NOT NULL DEFAULT 0,
    refused INTEGER NOT NULL DEFAULT 0,
    avoid_until INTEGER NOT NULL DEFAULT 0,
    last_seen INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE speeds (
    model_digest TEXT NOT NULL,
    backend TEXT NOT NULL,
    shard_ms REAL NOT NULL,
    PRIMARY KEY (model_digest, backend)
  ) STRICT, WITHOUT ROWID;
  `,
];
