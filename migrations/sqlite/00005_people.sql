-- +goose Up
-- Every statement may run again: a first start that was cut short goes on where it stopped.

-- Whom the campaigns of a channel that was moved know somebody with a unionid as.
CREATE TABLE IF NOT EXISTS channel_people (
  channel TEXT NOT NULL,
  union_key BLOB NOT NULL, -- as in fans
  user_key BLOB NOT NULL, -- as in fans
  user_enc BLOB NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (channel, union_key)
);
CREATE INDEX IF NOT EXISTS channel_people_by_channel_user_key ON channel_people (channel, user_key);

-- What a channel was told of people of whom the platform has not said yet who they are.
CREATE TABLE IF NOT EXISTS channel_held (
  no INTEGER PRIMARY KEY AUTOINCREMENT,
  channel TEXT NOT NULL,
  push_key BLOB NOT NULL,
  open_key BLOB NOT NULL,
  push_enc BLOB NOT NULL,
  held_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS channel_held_by_channel_push_key ON channel_held (channel, push_key);
CREATE INDEX IF NOT EXISTS channel_held_by_channel_open_key ON channel_held (channel, open_key);

-- +goose Down
DROP TABLE IF EXISTS channel_held;
DROP TABLE IF EXISTS channel_people;
