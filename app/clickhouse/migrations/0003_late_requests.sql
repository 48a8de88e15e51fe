-- Late windows wait here until they have been computed again from stored samples. A row holds many
-- windows, so that asking costs one small insert, and looking what waits reads few rows.

CREATE TABLE IF NOT EXISTS late_requests_data
(
    request UUID COMMENT 'Made by the sink that asks.',
    requested_at DateTime64(3, 'UTC') COMMENT 'When the samples were stored that ask for it.',
    recent Bool COMMENT 'Whether its windows ended less than two days before: these go first.',
    windows UInt32 COMMENT 'Number of windows; 0 once done.',
    size Array(Enum8('1m' = 0, '1h' = 1, '1d' = 2)) COMMENT 'Size of each window.' CODEC(ZSTD(1)),
    user_id Array(UUID) COMMENT 'The person of each.' CODEC(ZSTD(1)),
    metric Array(LowCardinality(String)) COMMENT 'The metric of each.' CODEC(ZSTD(1)),
    window_start Array(DateTime64(3, 'UTC')) COMMENT 'First instant of each.' CODEC(ZSTD(1)),
    window_end Array(DateTime64(3, 'UTC')) COMMENT 'End of each, exclusive.' CODEC(ZSTD(1)),
    done_at DateTime('UTC') COMMENT 'When all were computed; 1970 while they wait.'
)
ENGINE = ReplacingMergeTree(done_at)
ORDER BY request
-- A request whose end is forgotten too early is computed once more, which changes nothing.
TTL done_at + INTERVAL 1 DAY DELETE WHERE done_at > 0
COMMENT 'Requests to compute late windows again. Read the view backfill instead.';

CREATE OR REPLACE VIEW backfill
(
    windows UInt64 COMMENT 'Windows that wait, as often as they were asked for.',
    requests UInt64 COMMENT 'Requests that they are part of.',
    oldest Nullable(DateTime64(3, 'UTC')) COMMENT 'When the oldest was asked for; NULL when none waits.'
)
AS SELECT
    sum(late_requests_data.windows) AS windows,
    count() AS requests,
    if(requests > 0, min(requested_at), NULL) AS oldest
FROM late_requests_data FINAL
WHERE done_at = 0
COMMENT 'Late windows whose rows do not know all stored samples yet: one row.';
