-- +goose Up
-- Every statement may run again: a first start that was cut short goes on where it stopped.

-- What the platform said an account may call in a day, for all processes.
CREATE TABLE IF NOT EXISTS channel_limits (
  channel VARCHAR(32) NOT NULL,
  api VARCHAR(64) NOT NULL,
  daily BIGINT NOT NULL, -- 0 before it was told
  learned_at BIGINT NOT NULL, -- 0 before it was told
  ask_at BIGINT NOT NULL, -- nobody asks before
  failures INT NOT NULL, -- of asking, in a row
  PRIMARY KEY (channel, api)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- How many of the calls that channel_usage has set aside were made.
CREATE TABLE IF NOT EXISTS channel_calls (
  channel VARCHAR(32) NOT NULL,
  api VARCHAR(64) NOT NULL,
  day INT NOT NULL, -- yyyymmdd in China; 0 for what counts for ever
  calls BIGINT NOT NULL,
  PRIMARY KEY (channel, api, day)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS channel_calls;
DROP TABLE IF EXISTS channel_limits;
