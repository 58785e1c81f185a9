-- +goose Up
-- Every statement may run again: a first start that was cut short goes on where it stopped.

-- What a stage has on a day, split by one thing at a time: the table before this one had a row for each combination.
CREATE TABLE IF NOT EXISTS funnel_counts (
  campaign BIGINT NOT NULL,
  split VARCHAR(16) NOT NULL,
  stage VARCHAR(32) NOT NULL,
  day INT NOT NULL,
  name VARCHAR(64) NOT NULL,
  events BIGINT NOT NULL,
  users BIGINT NOT NULL,
  PRIMARY KEY (campaign, split, stage, day, name)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- There, but for a start that was cut short after the last statement.
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

REPLACE INTO funnel_counts (campaign, split, stage, day, name, events, users)
  SELECT campaign, 'day', stage, day, '', SUM(events), SUM(users) FROM funnel_counters GROUP BY campaign, stage, day;
REPLACE INTO funnel_counts (campaign, split, stage, day, name, events, users)
  SELECT campaign, 'variant', stage, day, variant, SUM(events), SUM(users) FROM funnel_counters GROUP BY campaign, stage, day, variant;
REPLACE INTO funnel_counts (campaign, split, stage, day, name, events, users)
  SELECT campaign, 'depth', stage, day, CAST(depth AS CHAR), SUM(events), SUM(users) FROM funnel_counters GROUP BY campaign, stage, day, depth;
REPLACE INTO funnel_counts (campaign, split, stage, day, name, events, users)
  SELECT campaign, 'source', stage, day, source, SUM(events), SUM(users) FROM funnel_counters GROUP BY campaign, stage, day, source;

DROP TABLE funnel_counters;

-- +goose Down
-- What is known by day comes back; variants, depths and sources cannot be put together again.
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

REPLACE INTO funnel_counters (campaign, stage, day, variant, depth, source, events, users)
  SELECT campaign, stage, day, '', 0, '', events, users FROM funnel_counts WHERE split = 'day';

DROP TABLE funnel_counts;
