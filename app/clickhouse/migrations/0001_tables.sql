-- Base tables: what the sink inserts, one row of a key kept (ReplacingMergeTree). Partition keys
-- are functions of the sorting key wherever a view reads with FINAL. A partition is a year: late
-- data and imports of many years touch few of them in one insert.

CREATE TABLE IF NOT EXISTS samples_data
(
    user_id UUID COMMENT 'The person.',
    metric LowCardinality(String) COMMENT 'Name in the metric catalogue.',
    device_id LowCardinality(String) COMMENT 'The device that measured.',
    time DateTime64(3, 'UTC') COMMENT 'Instant of the measurement.' CODEC(DoubleDelta, ZSTD(1)),
    upload_id UUID COMMENT 'The upload that brought it.' CODEC(ZSTD(1)),
    value Float64 COMMENT 'Value in the canonical unit of the metric.' CODEC(Gorilla, ZSTD(1)),
    received_at DateTime64(3, 'UTC') COMMENT 'When a gateway took the upload: of several values of one identity the one received last counts.' CODEC(Delta, ZSTD(1)),
    source LowCardinality(String) COMMENT 'Where the device or importer says that it comes from.',
    precedence UInt64 MATERIALIZED bitNot(toUInt64(toUnixTimestamp64Milli(received_at))) COMMENT 'Higher the earlier it was received: an upload that is sent again keeps its first rank.' CODEC(Delta, ZSTD(1)),
    CONSTRAINT finite CHECK isFinite(value)
)
ENGINE = ReplacingMergeTree(precedence)
PARTITION BY toYear(time)
ORDER BY (user_id, metric, device_id, time, upload_id)
COMMENT 'Samples as uploads brought them: one row of an identity (user, metric, device, time) and upload. Read the view samples instead.';

CREATE TABLE IF NOT EXISTS windows_1m_data
(
    user_id UUID COMMENT 'The person.',
    metric LowCardinality(String) COMMENT 'Name in the metric catalogue.',
    window_start DateTime64(3, 'UTC') COMMENT 'First instant of the minute.' CODEC(DoubleDelta, ZSTD(1)),
    window_end DateTime64(3, 'UTC') COMMENT 'End of the window, exclusive.' CODEC(DoubleDelta, ZSTD(1)),
    count UInt64 COMMENT 'Distinct samples.' CODEC(T64, ZSTD(1)),
    sum Float64 COMMENT 'Sum of values, canonical unit.' CODEC(Gorilla, ZSTD(1)),
    sum_sq Float64 COMMENT 'Sum of squared values.' CODEC(Gorilla, ZSTD(1)),
    min Float64 COMMENT 'Least value, canonical unit.' CODEC(Gorilla, ZSTD(1)),
    max Float64 COMMENT 'Greatest value, canonical unit.' CODEC(Gorilla, ZSTD(1)),
    first Float64 COMMENT 'Value of the earliest instant, the least where devices share it.' CODEC(Gorilla, ZSTD(1)),
    last Float64 COMMENT 'Value of the latest instant, the greatest where devices share it.' CODEC(Gorilla, ZSTD(1)),
    version UInt64 COMMENT 'Sum over samples of received_at in ms since 2020-01-01Z: grows with every sample added or corrected.' CODEC(ZSTD(1)),
    expected_low Nullable(Float64) COMMENT 'Lower edge of the expected band when the row was made; NULL while unknown.' CODEC(ZSTD(1)),
    expected_high Nullable(Float64) COMMENT 'Upper edge of the expected band; NULL while unknown.' CODEC(ZSTD(1)),
    emitted_at DateTime64(3, 'UTC') COMMENT 'When the row was computed.' CODEC(Delta, ZSTD(1)),
    CONSTRAINT filled CHECK count > 0
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYear(window_start)
ORDER BY (user_id, metric, window_start)
COMMENT 'Versions of one-minute windows (UTC). Read the view windows_1m instead.';

CREATE TABLE IF NOT EXISTS windows_1h_data
(
    user_id UUID COMMENT 'The person.',
    metric LowCardinality(String) COMMENT 'Name in the metric catalogue.',
    window_start DateTime64(3, 'UTC') COMMENT 'First instant of the hour.' CODEC(DoubleDelta, ZSTD(1)),
    window_end DateTime64(3, 'UTC') COMMENT 'End of the window, exclusive.' CODEC(DoubleDelta, ZSTD(1)),
    count UInt64 COMMENT 'Distinct samples.' CODEC(T64, ZSTD(1)),
    sum Float64 COMMENT 'Sum of values, canonical unit.' CODEC(Gorilla, ZSTD(1)),
    sum_sq Float64 COMMENT 'Sum of squared values.' CODEC(Gorilla, ZSTD(1)),
    min Float64 COMMENT 'Least value, canonical unit.' CODEC(Gorilla, ZSTD(1)),
    max Float64 COMMENT 'Greatest value, canonical unit.' CODEC(Gorilla, ZSTD(1)),
    first Float64 COMMENT 'Value of the earliest instant, the least where devices share it.' CODEC(Gorilla, ZSTD(1)),
    last Float64 COMMENT 'Value of the latest instant, the greatest where devices share it.' CODEC(Gorilla, ZSTD(1)),
    version UInt64 COMMENT 'Sum over samples of received_at in ms since 2020-01-01Z: grows with every sample added or corrected.' CODEC(ZSTD(1)),
    expected_low Nullable(Float64) COMMENT 'Lower edge of the expected band when the row was made; NULL while unknown.' CODEC(ZSTD(1)),
    expected_high Nullable(Float64) COMMENT 'Upper edge of the expected band; NULL while unknown.' CODEC(ZSTD(1)),
    emitted_at DateTime64(3, 'UTC') COMMENT 'When the row was computed.' CODEC(Delta, ZSTD(1)),
    CONSTRAINT filled CHECK count > 0
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYear(window_start)
ORDER BY (user_id, metric, window_start)
COMMENT 'Versions of one-hour windows (UTC). Read the view windows_1h instead.';

CREATE TABLE IF NOT EXISTS windows_1d_data
(
    user_id UUID COMMENT 'The person.',
    metric LowCardinality(String) COMMENT 'Name in the metric catalogue.',
    window_start DateTime64(3, 'UTC') COMMENT 'First instant of a day in the time zone of the person.' CODEC(DoubleDelta, ZSTD(1)),
    window_end DateTime64(3, 'UTC') COMMENT 'End of the window, exclusive.' CODEC(DoubleDelta, ZSTD(1)),
    count UInt64 COMMENT 'Distinct samples.' CODEC(T64, ZSTD(1)),
    sum Float64 COMMENT 'Sum of values, canonical unit.' CODEC(Gorilla, ZSTD(1)),
    sum_sq Float64 COMMENT 'Sum of squared values.' CODEC(Gorilla, ZSTD(1)),
    min Float64 COMMENT 'Least value, canonical unit.' CODEC(Gorilla, ZSTD(1)),
    max Float64 COMMENT 'Greatest value, canonical unit.' CODEC(Gorilla, ZSTD(1)),
    first Float64 COMMENT 'Value of the earliest instant, the least where devices share it.' CODEC(Gorilla, ZSTD(1)),
    last Float64 COMMENT 'Value of the latest instant, the greatest where devices share it.' CODEC(Gorilla, ZSTD(1)),
    version UInt64 COMMENT 'Sum over samples of received_at in ms since 2020-01-01Z: grows with every sample added or corrected.' CODEC(ZSTD(1)),
    expected_low Nullable(Float64) COMMENT 'Lower edge of the expected band when the row was made; NULL while unknown.' CODEC(ZSTD(1)),
    expected_high Nullable(Float64) COMMENT 'Upper edge of the expected band; NULL while unknown.' CODEC(ZSTD(1)),
    emitted_at DateTime64(3, 'UTC') COMMENT 'When the row was computed.' CODEC(Delta, ZSTD(1)),
    CONSTRAINT filled CHECK count > 0
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYear(window_start)
ORDER BY (user_id, metric, window_start)
COMMENT 'Versions of windows of one local day. Read the view windows_1d instead.';

CREATE TABLE IF NOT EXISTS alerts_data
(
    alert_id UUID COMMENT 'The alert: derived from user, metric, rule and the instant that opened it.',
    user_id UUID COMMENT 'The person.',
    metric LowCardinality(String) COMMENT 'Name in the metric catalogue.',
    device_id LowCardinality(String) COMMENT 'Device of the sample that changed it.',
    rule LowCardinality(String) COMMENT 'Name of the rule.',
    rule_version UInt32 COMMENT 'Version of the rule.',
    severity Enum8('info' = 1, 'warning' = 2, 'critical' = 3) COMMENT 'How urgent.',
    status Enum8('opened' = 1, 'updated' = 2, 'resolved' = 3) COMMENT 'Where it is in its life.',
    revision UInt32 COMMENT '1 when opened, one more with every change; the highest counts.',
    opened_at DateTime64(3, 'UTC') COMMENT 'Event time at which it opened.',
    changed_at DateTime64(3, 'UTC') COMMENT 'Event time of this revision.',
    resolved_at Nullable(DateTime64(3, 'UTC')) COMMENT 'Event time at which it was resolved; NULL while open.',
    value Float64 COMMENT 'The value that made this revision.',
    unit LowCardinality(String) COMMENT 'UCUM unit of the value.',
    expected_low Nullable(Float64) COMMENT 'Lower edge of what was expected; NULL for none.',
    expected_high Nullable(Float64) COMMENT 'Upper edge of what was expected; NULL for none.',
    baseline_count UInt32 COMMENT 'Minutes of data that the baseline held; 0 for fixed limits.',
    window_start DateTime64(3, 'UTC') COMMENT 'Start of the stretch of samples that shows it.',
    window_end DateTime64(3, 'UTC') COMMENT 'Its end.',
    explanation String COMMENT 'A sentence for people.' CODEC(ZSTD(3)),
    sample_times Array(DateTime64(3, 'UTC')) COMMENT 'Instants of up to 12 samples that show it.',
    sample_values Array(Float64) COMMENT 'Their values.'
)
ENGINE = ReplacingMergeTree(revision)
PARTITION BY toYear(opened_at)
ORDER BY (user_id, metric, opened_at, alert_id)
COMMENT 'Revisions of alerts. Read the view alerts instead.';

CREATE TABLE IF NOT EXISTS uploads_data
(
    user_id UUID COMMENT 'The person.',
    upload_id UUID COMMENT 'The upload.',
    stage Enum8('received' = 1, 'stored' = 2) COMMENT 'received: the declaration of the gateway. stored: from the batch, once its samples are stored.',
    batch_id UUID COMMENT 'The batch of uploads that it travelled in.',
    device_id LowCardinality(String) COMMENT 'The device; empty at stage received.',
    source LowCardinality(String) COMMENT 'Where it says that it comes from; empty at stage received.',
    received_at DateTime64(3, 'UTC') COMMENT 'When a gateway took it.' CODEC(Delta, ZSTD(1)),
    accepted UInt32 COMMENT 'Samples accepted, repeated ones included.',
    rejected UInt32 COMMENT 'Samples rejected.',
    repeated UInt32 COMMENT 'Accepted samples that a later one of the same upload and identity replaced.',
    reached_at DateTime64(3, 'UTC') COMMENT 'When it reached the stage.' CODEC(Delta, ZSTD(1)),
    precedence UInt64 MATERIALIZED bitNot(toUInt64(toUnixTimestamp64Milli(received_at))) COMMENT 'Higher the earlier it was received: an upload that is sent again keeps its first rank.' CODEC(Delta, ZSTD(1)),
    INDEX by_upload upload_id TYPE bloom_filter(0.01) GRANULARITY 4
)
ENGINE = ReplacingMergeTree(precedence)
PARTITION BY toYYYYMM(received_at)
ORDER BY (user_id, upload_id, stage)
COMMENT 'Stages of uploads. Read the view uploads instead.';

CREATE TABLE IF NOT EXISTS rejected_samples_data
(
    user_id UUID COMMENT 'The person.',
    upload_id UUID COMMENT 'The upload.',
    device_id LowCardinality(String) COMMENT 'The device.',
    source LowCardinality(String) COMMENT 'Where it says that it comes from.',
    received_at DateTime64(3, 'UTC') COMMENT 'When a gateway took the upload.' CODEC(Delta, ZSTD(1)),
    series Int32 COMMENT 'Position of the series in the upload, from 0.',
    `index` Int32 COMMENT 'Position of the sample in the series, from 0; -1 for the whole series.',
    metric LowCardinality(String) COMMENT 'Metric as sent.',
    unit LowCardinality(String) COMMENT 'Unit as sent.',
    time String COMMENT 'Time as sent, at most 64 characters.' CODEC(ZSTD(3)),
    value String COMMENT 'Value as sent, at most 64 characters.' CODEC(ZSTD(3)),
    reason LowCardinality(String) COMMENT 'Reason code.',
    detail String COMMENT 'What was wrong, in words.' CODEC(ZSTD(3)),
    INDEX by_upload upload_id TYPE bloom_filter(0.01) GRANULARITY 4
)
ENGINE = ReplacingMergeTree(received_at)
ORDER BY (user_id, upload_id, series, index)
COMMENT 'Samples that gateways did not accept, as they were sent. Read the view rejected_samples instead.';

CREATE TABLE IF NOT EXISTS dead_letters_data
(
    topic LowCardinality(String) COMMENT 'Topic of the record, without the prefix of the deployment.',
    partition Int32 COMMENT 'Its partition.',
    offset Int64 COMMENT 'Its offset.',
    failed_at DateTime64(3, 'UTC') COMMENT 'When the record was written to that topic.' CODEC(Delta, ZSTD(1)),
    first_failed_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When its work failed first.',
    attempts UInt32 COMMENT 'How often its work was tried.',
    error LowCardinality(String) COMMENT 'Kind of the error.',
    detail String COMMENT 'The error in words, or the chain of errors.' CODEC(ZSTD(3)),
    origin_topic LowCardinality(String) COMMENT 'Topic in which the record stood first.',
    origin_partition Int32 COMMENT 'Partition there; -1 when unknown.',
    origin_offset Int64 COMMENT 'Offset there; -1 when unknown.',
    user_ids Array(UUID) COMMENT 'People of the uploads in it, as far as it decodes.',
    upload_ids Array(UUID) COMMENT 'Uploads in it, as far as it decodes.',
    accepted Array(UInt32) COMMENT 'Samples accepted of each of these uploads.',
    received_ats Array(DateTime64(3, 'UTC')) COMMENT 'When a gateway took each of these uploads.',
    payload String COMMENT 'The original bytes of the record.' CODEC(ZSTD(3))
)
ENGINE = ReplacingMergeTree(failed_at)
ORDER BY (topic, partition, offset)
COMMENT 'Records that could not be processed or stored. Read the view dead_letters instead.';

CREATE TABLE IF NOT EXISTS dead_letter_replays_data
(
    topic LowCardinality(String) COMMENT 'Topic of the dead letter.',
    partition Int32 COMMENT 'Its partition.',
    offset Int64 COMMENT 'Its offset.',
    replayed_at DateTime64(3, 'UTC') COMMENT 'When it was produced to uploads again.'
)
ENGINE = ReplacingMergeTree
ORDER BY (topic, partition, offset, replayed_at)
COMMENT 'Replays of dead letters. Read the view dead_letters instead.';
