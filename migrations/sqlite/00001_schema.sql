-- +goose Up
-- Every statement may run again: a first start that was cut short goes on where it stopped.

CREATE TABLE IF NOT EXISTS campaigns (
  no INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL,
  status TEXT NOT NULL,
  revision INT NOT NULL,
  seq BIGINT NOT NULL DEFAULT 0,
  due_at BIGINT NULL,
  state TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS campaigns_by_id ON campaigns (id);
CREATE INDEX IF NOT EXISTS campaigns_by_due_at ON campaigns (due_at);

CREATE TABLE IF NOT EXISTS revisions (
  campaign BIGINT NOT NULL,
  revision INT NOT NULL,
  source TEXT NOT NULL,
  definition TEXT NOT NULL,
  created_by TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (campaign, revision)
);

CREATE TABLE IF NOT EXISTS assets (
  campaign BIGINT NOT NULL,
  name TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  size BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (campaign, name)
);

CREATE TABLE IF NOT EXISTS identities (
  no INTEGER PRIMARY KEY AUTOINCREMENT,
  campaign BIGINT NOT NULL,
  user_key BLOB NOT NULL,
  user_enc BLOB NULL,
  nickname_enc BLOB NULL,
  avatar_enc BLOB NULL,
  created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS identities_by_campaign_user_key ON identities (campaign, user_key);

CREATE TABLE IF NOT EXISTS codes (
  code TEXT NOT NULL PRIMARY KEY,
  campaign BIGINT NOT NULL,
  person BIGINT NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS codes_by_campaign_person ON codes (campaign, person);

-- The journal is two tables that only grow: what was accepted, and what applying made of it.
-- tails holds the number of the last event accepted.
CREATE TABLE IF NOT EXISTS tails (
  campaign BIGINT NOT NULL PRIMARY KEY,
  seq BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS events (
  campaign BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  system INTEGER NOT NULL,
  id TEXT NOT NULL,
  type TEXT NOT NULL,
  person BIGINT NOT NULL,
  code TEXT NOT NULL,
  time BIGINT NOT NULL,
  received_at BIGINT NOT NULL,
  data TEXT NULL,
  PRIMARY KEY (campaign, seq)
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS events_by_campaign_system_id ON events (campaign, system, id);
CREATE INDEX IF NOT EXISTS events_by_campaign_person ON events (campaign, person);

CREATE TABLE IF NOT EXISTS outcomes (
  campaign BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  owner BIGINT NOT NULL,
  outcome TEXT NOT NULL,
  detail TEXT NULL,
  hash BLOB NOT NULL,
  PRIMARY KEY (campaign, seq)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS outcomes_by_campaign_owner ON outcomes (campaign, owner);

CREATE VIEW IF NOT EXISTS journal AS
  SELECT e.campaign, e.seq, e.system, e.id, e.type, e.person, e.code, e.time, e.received_at, e.data,
    o.owner, o.outcome, o.detail, o.hash
  FROM events e LEFT JOIN outcomes o ON o.campaign = e.campaign AND o.seq = e.seq;

CREATE TABLE IF NOT EXISTS people (
  campaign BIGINT NOT NULL,
  person BIGINT NOT NULL,
  code TEXT NOT NULL,
  inviter BIGINT NOT NULL,
  depth INT NOT NULL,
  score BIGINT NOT NULL,
  scored_seq BIGINT NOT NULL,
  joined_at BIGINT NOT NULL,
  facts TEXT NOT NULL,
  PRIMARY KEY (campaign, person)
);
CREATE INDEX IF NOT EXISTS people_by_campaign_score_scored_seq ON people (campaign, score DESC, scored_seq);

CREATE TABLE IF NOT EXISTS credits (
  campaign BIGINT NOT NULL,
  person BIGINT NOT NULL,
  task TEXT NOT NULL,
  n INT NOT NULL,
  owner BIGINT NOT NULL,
  state TEXT NOT NULL,
  on_at BIGINT NOT NULL,
  off_at BIGINT NOT NULL,
  due_at BIGINT NULL,
  ref TEXT NOT NULL,
  event TEXT NOT NULL,
  PRIMARY KEY (campaign, person, task, n)
);
CREATE INDEX IF NOT EXISTS credits_by_campaign_state_due_at ON credits (campaign, state, due_at);

CREATE TABLE IF NOT EXISTS rewards (
  campaign BIGINT NOT NULL,
  reward TEXT NOT NULL,
  stock BIGINT NOT NULL,
  granted BIGINT NOT NULL,
  delivered BIGINT NOT NULL,
  waitlisted BIGINT NOT NULL,
  coupons BIGINT NOT NULL,
  coupons_used BIGINT NOT NULL,
  PRIMARY KEY (campaign, reward),
  CHECK (granted <= stock),
  CHECK (coupons_used <= coupons)
);

CREATE TABLE IF NOT EXISTS grants (
  campaign BIGINT NOT NULL,
  no BIGINT NOT NULL,
  person BIGINT NOT NULL,
  tier TEXT NOT NULL,
  reward TEXT NOT NULL,
  state TEXT NOT NULL,
  reason TEXT NOT NULL,
  cost BIGINT NOT NULL,
  points BIGINT NOT NULL,
  coupon BIGINT NOT NULL,
  promised_by BIGINT NOT NULL,
  delivered_by BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (campaign, no)
);
CREATE UNIQUE INDEX IF NOT EXISTS grants_by_campaign_person_tier_reward ON grants (campaign, person, tier, reward);
CREATE INDEX IF NOT EXISTS grants_by_campaign_state_reward_no ON grants (campaign, state, reward, no);

CREATE TABLE IF NOT EXISTS coupons (
  campaign BIGINT NOT NULL,
  reward TEXT NOT NULL,
  no BIGINT NOT NULL,
  code_key BLOB NOT NULL,
  code_enc BLOB NOT NULL,
  PRIMARY KEY (campaign, reward, no)
);
CREATE UNIQUE INDEX IF NOT EXISTS coupons_by_campaign_reward_code_key ON coupons (campaign, reward, code_key);

CREATE TABLE IF NOT EXISTS ledger_entries (
  campaign BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  posted_at BIGINT NOT NULL,
  "transaction" BIGINT NOT NULL,
  kind TEXT NOT NULL,
  account TEXT NOT NULL,
  person BIGINT NOT NULL,
  reward TEXT NOT NULL,
  grant_no BIGINT NOT NULL,
  event TEXT NOT NULL,
  debit BIGINT NOT NULL,
  credit BIGINT NOT NULL,
  currency TEXT NOT NULL,
  memo TEXT NOT NULL,
  hash BLOB NOT NULL,
  PRIMARY KEY (campaign, seq)
);
CREATE INDEX IF NOT EXISTS ledger_entries_by_campaign_posted_at ON ledger_entries (campaign, posted_at);

CREATE TABLE IF NOT EXISTS funnel_counters (
  campaign BIGINT NOT NULL,
  stage TEXT NOT NULL,
  day INT NOT NULL,
  variant TEXT NOT NULL,
  depth INT NOT NULL,
  source TEXT NOT NULL,
  events BIGINT NOT NULL,
  users BIGINT NOT NULL,
  PRIMARY KEY (campaign, stage, day, variant, depth, source)
);

CREATE TABLE IF NOT EXISTS api_keys (
  id TEXT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  role TEXT NOT NULL,
  secret_hash BLOB NOT NULL,
  created_at BIGINT NOT NULL,
  revoked_at BIGINT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS api_keys_by_secret_hash ON api_keys (secret_hash);

CREATE TABLE IF NOT EXISTS idempotency_keys (
  scope BLOB NOT NULL PRIMARY KEY,
  fingerprint BLOB NOT NULL,
  status INT NOT NULL,
  content_type TEXT NOT NULL,
  body BLOB NULL,
  created_at BIGINT NOT NULL
);
CREATE INDEX IF NOT EXISTS idempotency_keys_by_created_at ON idempotency_keys (created_at);

CREATE TABLE IF NOT EXISTS secret_marks (
  name TEXT NOT NULL PRIMARY KEY,
  mark BLOB NOT NULL
);

-- +goose Down
DROP TABLE IF EXISTS secret_marks;
DROP TABLE IF EXISTS idempotency_keys;
DROP TABLE IF EXISTS api_keys;
DROP TABLE IF EXISTS funnel_counters;
DROP TABLE IF EXISTS ledger_entries;
DROP TABLE IF EXISTS coupons;
DROP TABLE IF EXISTS grants;
DROP TABLE IF EXISTS rewards;
DROP TABLE IF EXISTS credits;
DROP TABLE IF EXISTS people;
DROP VIEW IF EXISTS journal;
DROP TABLE IF EXISTS outcomes;
DROP TABLE IF EXISTS events;
DROP TABLE IF EXISTS tails;
DROP TABLE IF EXISTS codes;
DROP TABLE IF EXISTS identities;
DROP TABLE IF EXISTS assets;
DROP TABLE IF EXISTS revisions;
DROP TABLE IF EXISTS campaigns;
