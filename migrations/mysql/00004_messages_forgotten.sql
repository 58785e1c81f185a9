-- +goose Up
-- Every statement may run again: a first start that was cut short goes on where it stopped.

-- Up to when settled messages of a campaign were deleted, by when they were written down (UTC milliseconds).
CREATE TABLE IF NOT EXISTS messages_forgotten (
  campaign BIGINT NOT NULL PRIMARY KEY,
  up_to BIGINT NOT NULL
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE IF EXISTS messages_forgotten;
