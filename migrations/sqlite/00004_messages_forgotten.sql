-- +goose Up
-- Every statement may run again: a first start that was cut short goes on where it stopped.

-- Up to when settled messages of a campaign were deleted, by when they were written down (UTC milliseconds).
CREATE TABLE IF NOT EXISTS messages_forgotten (
  campaign INTEGER NOT NULL PRIMARY KEY,
  up_to BIGINT NOT NULL
);

-- +goose Down
DROP TABLE IF EXISTS messages_forgotten;
