-- +goose Up
-- Every statement may run again: a first start that was cut short goes on where it stopped.

CREATE TABLE IF NOT EXISTS campaigns (
  no BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  id VARBINARY(64) NOT NULL,
  status VARCHAR(16) NOT NULL,
  revision INT NOT NULL,
  seq BIGINT NOT NULL DEFAULT 0,
  due_at BIGINT NULL,
  state LONGTEXT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  UNIQUE KEY campaigns_by_id (id),
  KEY campaigns_by_due_at (due_at)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS revisions (
  campaign BIGINT NOT NULL,
  revision INT NOT NULL,
  source LONGTEXT NOT NULL,
  definition LONGTEXT NOT NULL,
  created_by VARCHAR(128) NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (campaign, revision)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS assets (
  campaign BIGINT NOT NULL,
  name VARCHAR(128) NOT NULL,
  sha256 VARCHAR(64) NOT NULL,
  size BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (campaign, name)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS identities (
  no BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  campaign BIGINT NOT NULL,
  user_key BINARY(16) NOT NULL,
  user_enc VARBINARY(600) NULL,
  nickname_enc VARBINARY(2048) NULL,
  avatar_enc VARBINARY(2048) NULL,
  created_at BIGINT NOT NULL,
  UNIQUE KEY identities_by_campaign_user_key (campaign, user_key)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS codes (
  code VARCHAR(16) NOT NULL PRIMARY KEY,
  campaign BIGINT NOT NULL,
  person BIGINT NOT NULL,
  UNIQUE KEY codes_by_campaign_person (campaign, person)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- The journal is two tables that only grow: what was accepted, and what applying made of it.
-- tails holds the number of the last event accepted; its lock makes commits come in the order of their numbers.
CREATE TABLE IF NOT EXISTS tails (
  campaign BIGINT NOT NULL PRIMARY KEY,
  seq BIGINT NOT NULL
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS events (
  campaign BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  system TINYINT(1) NOT NULL,
  id VARBINARY(512) NOT NULL, -- compared byte by byte: text would take "a" and "a " for one
  type VARCHAR(32) NOT NULL,
  person BIGINT NOT NULL,
  code VARCHAR(64) NOT NULL,
  time BIGINT NOT NULL,
  received_at BIGINT NOT NULL,
  data TEXT NULL,
  PRIMARY KEY (campaign, seq),
  UNIQUE KEY events_by_campaign_system_id (campaign, system, id),
  KEY events_by_campaign_person (campaign, person)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS outcomes (
  campaign BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  owner BIGINT NOT NULL,
  outcome VARCHAR(32) NOT NULL,
  detail MEDIUMTEXT NULL,
  hash BINARY(32) NOT NULL,
  PRIMARY KEY (campaign, seq),
  KEY outcomes_by_campaign_owner (campaign, owner)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE OR REPLACE VIEW journal AS
  SELECT e.campaign, e.seq, e.system, e.id, e.type, e.person, e.code, e.time, e.received_at, e.data,
    o.owner, o.outcome, o.detail, o.hash
  FROM events e LEFT JOIN outcomes o ON o.campaign = e.campaign AND o.seq = e.seq;

CREATE TABLE IF NOT EXISTS people (
  campaign BIGINT NOT NULL,
  person BIGINT NOT NULL,
  code VARCHAR(16) NOT NULL,
  inviter BIGINT NOT NULL,
  depth INT NOT NULL,
  score BIGINT NOT NULL,
  scored_seq BIGINT NOT NULL,
  joined_at BIGINT NOT NULL,
  facts TEXT NOT NULL,
  PRIMARY KEY (campaign, person),
  KEY people_by_campaign_score_scored_seq (campaign, score DESC, scored_seq) -- as the leaderboard reads it; older servers sort
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS credits (
  campaign BIGINT NOT NULL,
  person BIGINT NOT NULL,
  task VARCHAR(32) NOT NULL,
  n INT NOT NULL,
  owner BIGINT NOT NULL,
  state VARCHAR(16) NOT NULL,
  on_at BIGINT NOT NULL,
  off_at BIGINT NOT NULL,
  due_at BIGINT NULL,
  ref VARCHAR(128) NOT NULL,
  event VARCHAR(128) NOT NULL,
  PRIMARY KEY (campaign, person, task, n),
  KEY credits_by_campaign_state_due_at (campaign, state, due_at)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS rewards (
  campaign BIGINT NOT NULL,
  reward VARCHAR(32) NOT NULL,
  stock BIGINT NOT NULL,
  granted BIGINT NOT NULL,
  delivered BIGINT NOT NULL,
  waitlisted BIGINT NOT NULL,
  coupons BIGINT NOT NULL,
  coupons_used BIGINT NOT NULL,
  PRIMARY KEY (campaign, reward),
  CHECK (granted <= stock),
  CHECK (coupons_used <= coupons)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS grants (
  campaign BIGINT NOT NULL,
  no BIGINT NOT NULL,
  person BIGINT NOT NULL,
  tier VARBINARY(256) NOT NULL,
  reward VARCHAR(32) NOT NULL,
  state VARCHAR(16) NOT NULL,
  reason VARCHAR(255) NOT NULL,
  cost BIGINT NOT NULL,
  points BIGINT NOT NULL,
  coupon BIGINT NOT NULL,
  promised_by BIGINT NOT NULL,
  delivered_by BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (campaign, no),
  UNIQUE KEY grants_by_campaign_person_tier_reward (campaign, person, tier, reward),
  KEY grants_by_campaign_state_reward_no (campaign, state, reward, no)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS coupons (
  campaign BIGINT NOT NULL,
  reward VARCHAR(32) NOT NULL,
  no BIGINT NOT NULL,
  code_key BINARY(16) NOT NULL,
  code_enc VARBINARY(600) NOT NULL,
  PRIMARY KEY (campaign, reward, no),
  UNIQUE KEY coupons_by_campaign_reward_code_key (campaign, reward, code_key)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS ledger_entries (
  campaign BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  posted_at BIGINT NOT NULL,
  `transaction` BIGINT NOT NULL,
  kind VARCHAR(16) NOT NULL,
  account VARCHAR(32) NOT NULL,
  person BIGINT NOT NULL,
  reward VARCHAR(32) NOT NULL,
  grant_no BIGINT NOT NULL,
  event VARCHAR(128) NOT NULL,
  debit BIGINT NOT NULL,
  credit BIGINT NOT NULL,
  currency VARCHAR(16) NOT NULL,
  memo VARCHAR(255) NOT NULL,
  hash BINARY(32) NOT NULL,
  PRIMARY KEY (campaign, seq),
  KEY ledger_entries_by_campaign_posted_at (campaign, posted_at)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS funnel_counters (
  campaign BIGINT NOT NULL,
  stage VARCHAR(32) NOT NULL,
  day INT NOT NULL,
  variant VARCHAR(32) NOT NULL,
  depth INT NOT NULL,
  source VARCHAR(64) NOT NULL,
  events BIGINT NOT NULL,
  users BIGINT NOT NULL,
  PRIMARY KEY (campaign, stage, day, variant, depth, source)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS api_keys (
  id VARCHAR(32) NOT NULL PRIMARY KEY,
  name VARCHAR(128) NOT NULL,
  role VARCHAR(16) NOT NULL,
  secret_hash BINARY(32) NOT NULL,
  created_at BIGINT NOT NULL,
  revoked_at BIGINT NULL,
  UNIQUE KEY api_keys_by_secret_hash (secret_hash)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS idempotency_keys (
  scope BINARY(32) NOT NULL PRIMARY KEY,
  fingerprint BINARY(32) NOT NULL,
  status INT NOT NULL,
  content_type VARCHAR(128) NOT NULL,
  body MEDIUMBLOB NULL,
  created_at BIGINT NOT NULL,
  KEY idempotency_keys_by_created_at (created_at)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS secret_marks (
  name VARCHAR(32) NOT NULL PRIMARY KEY,
  mark BINARY(16) NOT NULL
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

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
