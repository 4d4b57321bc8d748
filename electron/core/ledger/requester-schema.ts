/** Numbered migrations: only ever add at the end. Amounts are decimal TEXT, since SQLite's integers and sums overflow. */
export const REQUESTER_MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE jobs (
    job_id TEXT PRIMARY KEY,
    offer_id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    -- Code of why it is paused; empty otherwise.
    reason TEXT NOT NULL DEFAULT '',
    terms TEXT NOT NULL,
    -- First shard that was never leased, and first whose outputs the owner has not had.
    next_index INTEGER NOT NULL DEFAULT 0,
    next_delivery INTEGER NOT NULL DEFAULT 0,
    -- Shards with a final state by how they came to it; answers refused.
    agreed INTEGER NOT NULL DEFAULT 0,
    checked INTEGER NOT NULL DEFAULT 0,
    trusted INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    refused INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL
  ) STRICT;

  -- Shards that are leased, waiting or not yet pruned; those before next_index without a row are long settled.
  CREATE TABLE shards (
    job_id TEXT NOT NULL REFERENCES jobs (job_id),
    shard INTEGER NOT NULL,
    state TEXT NOT NULL,
    input_digest TEXT NOT NULL,
    failures INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (job_id, shard)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE grants (
    lease_id TEXT PRIMARY KEY,
    job_id TEXT NOT NULL REFERENCES jobs (job_id),
    peer TEXT NOT NULL,
    state TEXT NOT NULL,
    shards TEXT NOT NULL,
    statement_digest TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    -- The provider's signed statement over its outputs, once it came.
    done_statement BLOB
  ) STRICT;
  CREATE INDEX grants_by_job ON grants (job_id, expires_at);

  CREATE TABLE answers (
    job_id TEXT NOT NULL REFERENCES jobs (job_id),
    shard INTEGER NOT NULL,
    peer TEXT NOT NULL,
    lease_id TEXT NOT NULL,
    state TEXT NOT NULL,
    code TEXT NOT NULL,
    digest TEXT NOT NULL,
    backend TEXT NOT NULL,
    compute_micros INTEGER NOT NULL,
    PRIMARY KEY (job_id, shard, peer)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX answers_due ON answers (job_id, peer) WHERE state IN ('agreed', 'checked', 'trusted');

  -- Outputs that still wait for a second opinion or for their turn to be delivered. source: peer, or 'referee'.
  CREATE TABLE outputs (
    job_id TEXT NOT NULL,
    shard INTEGER NOT NULL,
    source TEXT NOT NULL,
    layout BLOB NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (job_id, shard, source)
  ) STRICT;

  CREATE TABLE channels (
    -- Derived from offer and provider, so that a crash cannot open two.
    reference TEXT PRIMARY KEY,
    channel_id TEXT UNIQUE,
    job_id TEXT NOT NULL REFERENCES jobs (job_id),
    peer TEXT NOT NULL,
    payee TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    state TEXT NOT NULL,
    deposit_wei TEXT NOT NULL,
    cumulative_wei TEXT NOT NULL,
    -- Newest voucher; empty before the first.
    voucher_expires_at INTEGER NOT NULL DEFAULT 0,
    voucher_signature TEXT NOT NULL DEFAULT '',
    -- Answers accepted and refused here, for the feedback; and whether it was given.
    accepted INTEGER NOT NULL DEFAULT 0,
    refused INTEGER NOT NULL DEFAULT 0,
    feedback TEXT NOT NULL DEFAULT 'none',
    close_at INTEGER
  ) STRICT;
  CREATE INDEX channels_by_job ON channels (job_id);

  CREATE TABLE peers (
    peer TEXT PRIMARY KEY,
    lies INTEGER NOT NULL DEFAULT 0,
    shunned_until INTEGER NOT NULL DEFAULT 0
  ) STRICT, WITHOUT ROWID;

  -- Proof of a peer's work per model and backend: valid results in a row.
  CREATE TABLE standings (
    peer TEXT NOT NULL,
    model_digest TEXT NOT NULL,
    backend TEXT NOT NULL,
    streak INTEGER NOT NULL,
    valid INTEGER NOT NULL,
    invalid INTEGER NOT NULL,
    PRIMARY KEY (peer, model_digest, backend)
  ) STRICT, WITHOUT ROWID;
  `,
];
