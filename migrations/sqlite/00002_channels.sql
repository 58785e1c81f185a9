-- +goose Up
-- Every statement may run again: a first start that was cut short goes on where it stopped.

-- Messages that people are owed: written with what they are owed for, sent later.
CREATE TABLE IF NOT EXISTS messages (
  no INTEGER PRIMARY KEY AUTOINCREMENT,
  channel TEXT NOT NULL,
  campaign BIGINT NOT NULL,
  person BIGINT NOT NULL,
  source TEXT NOT NULL, -- what it is owed for: once each
  kind TEXT NOT NULL,
  word TEXT NOT NULL,
  priority INT NOT NULL, -- lowest first
  facts TEXT NULL,
  state TEXT NOT NULL,
  reason TEXT NOT NULL,
  way TEXT NOT NULL,
  attempts INT NOT NULL,
  taken_by TEXT NOT NULL, -- who sends it, until due_at
  due_at BIGINT NOT NULL, -- not tried before; when it expires, of one that waits
  expires_at BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS messages_by_campaign_person_source ON messages (campaign, person, source);
CREATE INDEX IF NOT EXISTS messages_by_channel_state_priority_due_at ON messages (channel, state, priority, due_at);
CREATE INDEX IF NOT EXISTS messages_by_person_kind_state ON messages (person, kind, state, no);
CREATE INDEX IF NOT EXISTS messages_by_campaign_state ON messages (campaign, state, no);

-- Those whom a channel has met.
CREATE TABLE IF NOT EXISTS fans (
  no INTEGER PRIMARY KEY AUTOINCREMENT,
  channel TEXT NOT NULL,
  open_key BLOB NOT NULL,
  open_enc BLOB NULL,
  user_key BLOB NOT NULL,
  user_enc BLOB NULL, -- as campaigns know them: their first openid, whatever account they write to now
  union_key BLOB NULL,
  follows INTEGER NOT NULL,
  first_followed_at BIGINT NOT NULL,
  followed_at BIGINT NOT NULL,
  left_at BIGINT NOT NULL,
  allowance INT NOT NULL, -- messages that may still be sent until allowance_until
  allowance_until BIGINT NOT NULL,
  talk TEXT NULL, -- where a dialogue stands, and consents
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS fans_by_channel_open_key ON fans (channel, open_key);
CREATE INDEX IF NOT EXISTS fans_by_channel_user_key ON fans (channel, user_key);
CREATE INDEX IF NOT EXISTS fans_by_union_key ON fans (union_key);

-- What shops call those whom a channel has met.
CREATE TABLE IF NOT EXISTS members (
  channel TEXT NOT NULL,
  member_key BLOB NOT NULL,
  user_key BLOB NOT NULL, -- as in fans
  user_enc BLOB NULL, -- as campaigns know them; NULL since they left
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (channel, member_key)
);
CREATE INDEX IF NOT EXISTS members_by_user_key ON members (user_key);

-- What a channel was told, so that the platform's repetitions get the first answer again.
CREATE TABLE IF NOT EXISTS channel_pushes (
  channel TEXT NOT NULL,
  push_key BLOB NOT NULL,
  reply BLOB NULL,
  received_at BIGINT NOT NULL,
  PRIMARY KEY (channel, push_key)
);
CREATE INDEX IF NOT EXISTS channel_pushes_by_received_at ON channel_pushes (received_at);

CREATE TABLE IF NOT EXISTS channel_tokens (
  channel TEXT NOT NULL,
  name TEXT NOT NULL,
  value_enc BLOB NULL,
  expires_at BIGINT NOT NULL,
  fetched_at BIGINT NOT NULL,
  locked_until BIGINT NOT NULL, -- somebody is fetching another
  PRIMARY KEY (channel, name)
);

CREATE TABLE IF NOT EXISTS channel_usage (
  channel TEXT NOT NULL,
  api TEXT NOT NULL,
  day INT NOT NULL, -- yyyymmdd in China; 0 for what counts for ever
  used BIGINT NOT NULL,
  blocked_until BIGINT NOT NULL,
  PRIMARY KEY (channel, api, day)
);

CREATE TABLE IF NOT EXISTS channel_codes (
  channel TEXT NOT NULL,
  code TEXT NOT NULL,
  url TEXT NOT NULL,
  expires_at BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (channel, code)
);

CREATE TABLE IF NOT EXISTS channel_media (
  channel TEXT NOT NULL,
  media_key TEXT NOT NULL,
  media_id TEXT NOT NULL,
  expires_at BIGINT NOT NULL,
  PRIMARY KEY (channel, media_key)
);
CREATE INDEX IF NOT EXISTS channel_media_by_expires_at ON channel_media (expires_at);

CREATE TABLE IF NOT EXISTS channel_setups (
  channel TEXT NOT NULL,
  revision INT NOT NULL,
  source TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (channel, revision)
);

-- Which account serves a channel since it was moved; a channel without a row serves itself.
CREATE TABLE IF NOT EXISTS channel_moves (
  channel TEXT NOT NULL PRIMARY KEY,
  account TEXT NOT NULL,
  moved_at BIGINT NOT NULL
);

-- Where a prize goes; apart from everything else, so that it can be deleted.
CREATE TABLE IF NOT EXISTS addresses (
  campaign BIGINT NOT NULL,
  grant_no BIGINT NOT NULL,
  person BIGINT NOT NULL,
  address_enc BLOB NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (campaign, grant_no)
);

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
