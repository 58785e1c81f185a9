-- +goose Up
-- Every statement may run again: a first start that was cut short goes on where it stopped.

-- Messages that people are owed: written with what they are owed for, sent later.
CREATE TABLE IF NOT EXISTS messages (
  no BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  channel VARCHAR(32) NOT NULL,
  campaign BIGINT NOT NULL,
  person BIGINT NOT NULL,
  source VARBINARY(160) NOT NULL, -- what it is owed for: once each
  kind VARCHAR(16) NOT NULL,
  word VARCHAR(32) NOT NULL,
  priority INT NOT NULL, -- lowest first
  facts TEXT NULL,
  state VARCHAR(16) NOT NULL,
  reason VARCHAR(255) NOT NULL,
  way VARCHAR(16) NOT NULL,
  attempts INT NOT NULL,
  taken_by VARCHAR(32) NOT NULL, -- who sends it, until due_at
  due_at BIGINT NOT NULL, -- not tried before; when it expires, of one that waits
  expires_at BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  UNIQUE KEY messages_by_campaign_person_source (campaign, person, source),
  KEY messages_by_channel_state_priority_due_at (channel, state, priority, due_at),
  KEY messages_by_person_kind_state (person, kind, state, no),
  KEY messages_by_campaign_state (campaign, state, no)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Those whom a channel has met.
CREATE TABLE IF NOT EXISTS fans (
  no BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  channel VARCHAR(32) NOT NULL,
  open_key BINARY(16) NOT NULL,
  open_enc VARBINARY(600) NULL,
  user_key BINARY(16) NOT NULL,
  user_enc VARBINARY(600) NULL, -- as campaigns know them: their first openid, whatever account they write to now
  union_key BINARY(16) NULL,
  follows TINYINT(1) NOT NULL,
  first_followed_at BIGINT NOT NULL,
  followed_at BIGINT NOT NULL,
  left_at BIGINT NOT NULL,
  allowance INT NOT NULL, -- messages that may still be sent until allowance_until
  allowance_until BIGINT NOT NULL,
  talk TEXT NULL, -- where a dialogue stands, and consents
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  UNIQUE KEY fans_by_channel_open_key (channel, open_key),
  KEY fans_by_channel_user_key (channel, user_key),
  KEY fans_by_union_key (union_key)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- What shops call those whom a channel has met.
CREATE TABLE IF NOT EXISTS members (
  channel VARCHAR(32) NOT NULL,
  member_key BINARY(16) NOT NULL,
  user_key BINARY(16) NOT NULL, -- as in fans
  user_enc VARBINARY(600) NULL, -- as campaigns know them; NULL since they left
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (channel, member_key),
  KEY members_by_user_key (user_key)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- What a channel was told, so that the platform's repetitions get the first answer again.
CREATE TABLE IF NOT EXISTS channel_pushes (
  channel VARCHAR(32) NOT NULL,
  push_key BINARY(16) NOT NULL,
  reply MEDIUMBLOB NULL,
  received_at BIGINT NOT NULL,
  PRIMARY KEY (channel, push_key),
  KEY channel_pushes_by_received_at (received_at)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS channel_tokens (
  channel VARCHAR(32) NOT NULL,
  name VARCHAR(16) NOT NULL,
  value_enc VARBINARY(2048) NULL,
  expires_at BIGINT NOT NULL,
  fetched_at BIGINT NOT NULL,
  locked_until BIGINT NOT NULL, -- somebody is fetching another
  PRIMARY KEY (channel, name)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS channel_usage (
  channel VARCHAR(32) NOT NULL,
  api VARCHAR(64) NOT NULL,
  day INT NOT NULL, -- yyyymmdd in China; 0 for what counts for ever
  used BIGINT NOT NULL,
  blocked_until BIGINT NOT NULL,
  PRIMARY KEY (channel, api, day)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS channel_codes (
  channel VARCHAR(32) NOT NULL,
  code VARCHAR(16) NOT NULL,
  url VARCHAR(512) NOT NULL,
  expires_at BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (channel, code)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS channel_media (
  channel VARCHAR(32) NOT NULL,
  media_key VARBINARY(64) NOT NULL,
  media_id VARCHAR(255) NOT NULL,
  expires_at BIGINT NOT NULL,
  PRIMARY KEY (channel, media_key),
  KEY channel_media_by_expires_at (expires_at)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE IF NOT EXISTS channel_setups (
  channel VARCHAR(32) NOT NULL,
  revision INT NOT NULL,
  source LONGTEXT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (channel, revision)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Which account serves a channel since it was moved; a channel without a row serves itself.
CREATE TABLE IF NOT EXISTS channel_moves (
  channel VARCHAR(32) NOT NULL PRIMARY KEY,
  account VARCHAR(32) NOT NULL,
  moved_at BIGINT NOT NULL
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Where a prize goes; apart from everything else, so that it can be deleted.
CREATE TABLE IF NOT EXISTS addresses (
  campaign BIGINT NOT NULL,
  grant_no BIGINT NOT NULL,
  person BIGINT NOT NULL,
  address_enc VARBINARY(4096) NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (campaign, grant_no)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS addresses;
DROP TABLE IF EXISTS channel_moves;
DROP TABLE IF EXISTS channel_setups;
DROP TABLE IF EXISTS channel_media;
DROP TABLE IF EXISTS channel_codes;
DROP TABLE IF EXISTS channel_usage;
DROP TABLE IF EXISTS channel_tokens;
DROP TABLE IF EXISTS channel_pushes;
DROP TABLE IF EXISTS members;
DROP TABLE IF EXISTS fans;
DROP TABLE IF EXISTS messages;
