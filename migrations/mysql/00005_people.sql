-- +goose Up
-- Every statement may run again: a first start that was cut short goes on where it stopped.

-- Whom the campaigns of a channel that was moved know somebody with a unionid as.
CREATE TABLE IF NOT EXISTS channel_people (
  channel VARCHAR(32) NOT NULL,
  union_key BINARY(16) NOT NULL, -- as in fans
  user_key BINARY(16) NOT NULL, -- as in fans
  user_enc VARBINARY(600) NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (channel, union_key),
  KEY channel_people_by_channel_user_key (channel, user_key)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- What a channel was told of people of whom the platform has not said yet who they are.
CREATE TABLE IF NOT EXISTS channel_held (
  no BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  channel VARCHAR(32) NOT NULL,
  push_key BINARY(16) NOT NULL,
  open_key BINARY(16) NOT NULL,
  push_enc MEDIUMBLOB NOT NULL,
  held_at BIGINT NOT NULL,
  UNIQUE KEY channel_held_by_channel_push_key (channel, push_key),
  KEY channel_held_by_channel_open_key (channel, open_key)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS channel_held;
DROP TABLE IF EXISTS channel_people;
