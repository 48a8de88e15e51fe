-- What people query: free of duplicates at any moment, whatever has been merged.

CREATE OR REPLACE VIEW samples
(
    user_id UUID COMMENT 'The person.',
    metric LowCardinality(String) COMMENT 'Name in the metric catalogue.',
    device_id LowCardinality(String) COMMENT 'The device that measured.',
    time DateTime64(3, 'UTC') COMMENT 'Instant of the measurement.',
    value Float64 COMMENT 'Value in the canonical unit of the metric.',
    source LowCardinality(String) COMMENT 'Where the device or importer says that it comes from.',
    upload_id UUID COMMENT 'The upload that brought the value.',
    received_at DateTime64(3, 'UTC') COMMENT 'When a gateway took that upload.'
)
AS SELECT
    user_id,
    metric,
    device_id,
    time,
    value,
    source,
    upload_id,
    received_at
FROM samples_data FINAL
-- Reads in the order of the primary key: bounded memory, and conditions on these four columns
-- reach the index.
ORDER BY user_id, metric, device_id, time, received_at DESC, value DESC
LIMIT 1 BY user_id, metric, device_id, time
COMMENT 'Samples, one row of an identity (user, metric, device, time): the value that was received last, the greater one of two received in the same millisecond.';

CREATE OR REPLACE VIEW windows_1m
(
    user_id UUID COMMENT 'The person.',
    metric LowCardinality(String) COMMENT 'Name in the metric catalogue.',
    window_start DateTime64(3, 'UTC') COMMENT 'First instant of the minute.',
    count UInt64 COMMENT 'Distinct samples.',
    sum Float64 COMMENT 'Sum of values, canonical unit.',
    mean Float64 COMMENT 'Mean of values, canonical unit.',
    stddev Nullable(Float64) COMMENT 'Standard deviation of the sample (n - 1), canonical unit; NULL for one sample.',
    min Float64 COMMENT 'Least value, canonical unit.',
    max Float64 COMMENT 'Greatest value, canonical unit.',
    first Float64 COMMENT 'Value of the earliest instant, the least where devices share it.',
    last Float64 COMMENT 'Value of the latest instant, the greatest where devices share it.',
    version UInt64 COMMENT 'Grows with every sample added or corrected.',
    window_end DateTime64(3, 'UTC') COMMENT 'End of the window, exclusive.',
    expected_low Nullable(Float64) COMMENT 'Lower edge of the expected band, canonical unit; NULL while unknown.',
    expected_high Nullable(Float64) COMMENT 'Upper edge of the expected band, canonical unit; NULL while unknown.'
)
AS SELECT
    user_id,
    metric,
    window_start,
    count,
    sum,
    sum / count AS mean,
    -- Rounding may leave a difference just below zero.
    if(count > 1, sqrt(greatest(0, (sum_sq - sum * sum / count) / (count - 1))), NULL) AS stddev,
    min,
    max,
    first,
    last,
    version,
    window_end,
    expected_low,
    expected_high
FROM windows_1m_data FINAL
COMMENT 'Windows of one minute (UTC).';

CREATE OR REPLACE VIEW windows_1h
(
    user_id UUID COMMENT 'The person.',
    metric LowCardinality(String) COMMENT 'Name in the metric catalogue.',
    window_start DateTime64(3, 'UTC') COMMENT 'First instant of the hour.',
    count UInt64 COMMENT 'Distinct samples.',
    sum Float64 COMMENT 'Sum of values, canonical unit.',
    mean Float64 COMMENT 'Mean of values, canonical unit.',
    stddev Nullable(Float64) COMMENT 'Standard deviation of the sample (n - 1), canonical unit; NULL for one sample.',
    min Float64 COMMENT 'Least value, canonical unit.',
    max Float64 COMMENT 'Greatest value, canonical unit.',
    first Float64 COMMENT 'Value of the earliest instant, the least where devices share it.',
    last Float64 COMMENT 'Value of the latest instant, the greatest where devices share it.',
    version UInt64 COMMENT 'Grows with every sample added or corrected.',
    window_end DateTime64(3, 'UTC') COMMENT 'End of the window, exclusive.',
    expected_low Nullable(Float64) COMMENT 'Lower edge of the expected band, canonical unit; NULL while unknown.',
    expected_high Nullable(Float64) COMMENT 'Upper edge of the expected band, canonical unit; NULL while unknown.'
)
AS SELECT
    user_id,
    metric,
    window_start,
    count,
    sum,
    sum / count AS mean,
    -- Rounding may leave a difference just below zero.
    if(count > 1, sqrt(greatest(0, (sum_sq - sum * sum / count) / (count - 1))), NULL) AS stddev,
    min,
    max,
    first,
    last,
    version,
    window_end,
    expected_low,
    expected_high
FROM windows_1h_data FINAL
COMMENT 'Windows of one hour (UTC).';

CREATE OR REPLACE VIEW windows_1d
(
    user_id UUID COMMENT 'The person.',
    metric LowCardinality(String) COMMENT 'Name in the metric catalogue.',
    window_start DateTime64(3, 'UTC') COMMENT 'First instant of a day in the time zone of the person.',
    count UInt64 COMMENT 'Distinct samples.',
    sum Float64 COMMENT 'Sum of values, canonical unit.',
    mean Float64 COMMENT 'Mean of values, canonical unit.',
    stddev Nullable(Float64) COMMENT 'Standard deviation of the sample (n - 1), canonical unit; NULL for one sample.',
    min Float64 COMMENT 'Least value, canonical unit.',
    max Float64 COMMENT 'Greatest value, canonical unit.',
    first Float64 COMMENT 'Value of the earliest instant, the least where devices share it.',
    last Float64 COMMENT 'Value of the latest instant, the greatest where devices share it.',
    version UInt64 COMMENT 'Grows with every sample added or corrected.',
    window_end DateTime64(3, 'UTC') COMMENT 'End of the window, exclusive.',
    expected_low Nullable(Float64) COMMENT 'Lower edge of the expected band, canonical unit; NULL while unknown.',
    expected_high Nullable(Float64) COMMENT 'Upper edge of the expected band, canonical unit; NULL while unknown.'
)
AS SELECT
    user_id,
    metric,
    window_start,
    count,
    sum,
    sum / count AS mean,
    -- Rounding may leave a difference just below zero.
    if(count > 1, sqrt(greatest(0, (sum_sq - sum * sum / count) / (count - 1))), NULL) AS stddev,
    min,
    max,
    first,
    last,
    version,
    window_end,
    expected_low,
    expected_high
FROM windows_1d_data FINAL
COMMENT 'Windows of one day in the time zone of the person.';

CREATE OR REPLACE VIEW alerts
(
    alert_id UUID COMMENT 'The alert.',
    user_id UUID COMMENT 'The person.',
    metric LowCardinality(String) COMMENT 'Name in the metric catalogue.',
    device_id LowCardinality(String) COMMENT 'Device of the sample that changed it.',
    rule LowCardinality(String) COMMENT 'Name of the rule.',
    rule_version UInt32 COMMENT 'Version of the rule.',
    severity Enum8('info' = 1, 'warning' = 2, 'critical' = 3) COMMENT 'How urgent.',
    status Enum8('opened' = 1, 'updated' = 2, 'resolved' = 3) COMMENT 'Where it is in its life.',
    revision UInt32 COMMENT '1 when opened, one more with every change.',
    opened_at DateTime64(3, 'UTC') COMMENT 'Event time at which it opened.',
    changed_at DateTime64(3, 'UTC') COMMENT 'Event time of the last change.',
    resolved_at Nullable(DateTime64(3, 'UTC')) COMMENT 'Event time at which it was resolved; NULL while open.',
    value Float64 COMMENT 'The value that made the last change.',
    unit LowCardinality(String) COMMENT 'UCUM unit of the value.',
    expected_low Nullable(Float64) COMMENT 'Lower edge of what was expected; NULL for none.',
    expected_high Nullable(Float64) COMMENT 'Upper edge of what was expected; NULL for none.',
    baseline_count UInt32 COMMENT 'Minutes of data that the baseline held; 0 for fixed limits.',
    window_start DateTime64(3, 'UTC') COMMENT 'Start of the stretch of samples that shows it.',
    window_end DateTime64(3, 'UTC') COMMENT 'Its end.',
    explanation String COMMENT 'A sentence for people.',
    sample_times Array(DateTime64(3, 'UTC')) COMMENT 'Instants of up to 12 samples that show it.',
    sample_values Array(Float64) COMMENT 'Their values.'
)
AS SELECT
    alert_id, user_id, metric, device_id, rule, rule_version, severity, status, revision,
    opened_at, changed_at, resolved_at, value, unit, expected_low, expected_high, baseline_count,
    window_start, window_end, explanation, sample_times, sample_values
FROM alerts_data FINAL
COMMENT 'Alerts, each as its last revision left it.';

CREATE OR REPLACE VIEW uploads
(
    user_id UUID COMMENT 'The person.',
    upload_id UUID COMMENT 'The upload.',
    device_id LowCardinality(String) COMMENT 'The device; empty until its samples are stored.',
    source LowCardinality(String) COMMENT 'Where it says that it comes from; empty until stored.',
    received_at DateTime64(3, 'UTC') COMMENT 'When a gateway took it.',
    accepted UInt32 COMMENT 'Samples accepted, repeated ones included, as the gateway declared.',
    rejected UInt32 COMMENT 'Samples rejected.',
    repeated UInt32 COMMENT 'Accepted samples that a later one of the same upload and identity replaced.',
    stored_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When its samples were stored; NULL until then.'
)
AS SELECT
    user_id,
    upload_id,
    tupleElement(stored, 1) AS device_id,
    tupleElement(stored, 2) AS source,
    tupleElement(declared, 1) AS received_at,
    tupleElement(declared, 2) AS accepted,
    tupleElement(declared, 3) AS rejected,
    tupleElement(declared, 4) AS repeated,
    if(times_stored > 0, tupleElement(stored, 3), NULL) AS stored_at
FROM
(
    SELECT
        user_id,
        upload_id,
        countIf(stage = 'stored') AS times_stored,
        argMinIf((device_id, source, reached_at), uploads_data.received_at, stage = 'stored') AS stored,
        -- The declaration of the gateway, or what the batch itself says where that was lost.
        argMin((uploads_data.received_at, accepted, rejected, repeated), (stage != 'received', uploads_data.received_at)) AS declared
    FROM uploads_data
    GROUP BY user_id, upload_id
)
COMMENT 'Uploads, one row each.';

CREATE OR REPLACE VIEW rejected_samples
(
    user_id UUID COMMENT 'The person.',
    upload_id UUID COMMENT 'The upload.',
    device_id LowCardinality(String) COMMENT 'The device.',
    source LowCardinality(String) COMMENT 'Where it says that it comes from.',
    received_at DateTime64(3, 'UTC') COMMENT 'When a gateway took the upload.',
    series Int32 COMMENT 'Position of the series in the upload, from 0.',
    `index` Int32 COMMENT 'Position of the sample in the series, from 0; -1 for the whole series.',
    metric LowCardinality(String) COMMENT 'Metric as sent.',
    unit LowCardinality(String) COMMENT 'Unit as sent.',
    time String COMMENT 'Time as sent, at most 64 characters.',
    value String COMMENT 'Value as sent, at most 64 characters.',
    reason LowCardinality(String) COMMENT 'Reason code.',
    detail String COMMENT 'What was wrong, in words.'
)
AS SELECT
    user_id, upload_id, device_id, source, received_at, series, index, metric, unit, time, value,
    reason, detail
FROM rejected_samples_data FINAL
COMMENT 'Samples that gateways did not accept, as they were sent.';

CREATE OR REPLACE VIEW dead_letters
(
    topic LowCardinality(String) COMMENT 'Topic of the record.',
    partition Int32 COMMENT 'Its partition.',
    offset Int64 COMMENT 'Its offset.',
    failed_at DateTime64(3, 'UTC') COMMENT 'When the record was written to that topic.',
    first_failed_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When its work failed first.',
    attempts UInt32 COMMENT 'How often its work was tried.',
    error LowCardinality(String) COMMENT 'Kind of the error.',
    detail String COMMENT 'The error in words, or the chain of errors.',
    origin_topic LowCardinality(String) COMMENT 'Topic in which the record stood first.',
    origin_partition Int32 COMMENT 'Partition there; -1 when unknown.',
    origin_offset Int64 COMMENT 'Offset there; -1 when unknown.',
    user_ids Array(UUID) COMMENT 'People of the uploads in it, as far as it decodes.',
    upload_ids Array(UUID) COMMENT 'Uploads in it, as far as it decodes.',
    samples UInt64 COMMENT 'Samples accepted in these uploads.',
    bytes UInt64 COMMENT 'Size of the record in bytes.',
    replays UInt64 COMMENT 'How often it was produced to uploads again.',
    replayed_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When that was done last; NULL for never.'
)
AS SELECT
    letters.topic AS topic, letters.partition AS partition, letters.offset AS offset,
    failed_at, first_failed_at, attempts, error, detail, origin_topic, origin_partition, origin_offset,
    user_ids, upload_ids, arraySum(accepted) AS samples, length(payload) AS bytes,
    replayed.times AS replays,
    if(replayed.times > 0, replayed.last, NULL) AS replayed_at
FROM (SELECT * FROM dead_letters_data FINAL) AS letters
LEFT JOIN
(
    SELECT topic, partition, offset, uniqExact(replayed_at) AS times, max(replayed_at) AS last
    FROM dead_letter_replays_data
    GROUP BY topic, partition, offset
) AS replayed USING (topic, partition, offset)
COMMENT 'Records that could not be processed or stored.';

-- Counted anew from the rows themselves, against what the gateways declared.
CREATE OR REPLACE VIEW ledger
(
    user_id UUID COMMENT 'The person.',
    upload_id UUID COMMENT 'The upload.',
    received_at DateTime64(3, 'UTC') COMMENT 'When a gateway took it.',
    accepted UInt64 COMMENT 'Samples accepted, as the gateway declared.',
    stored UInt64 COMMENT 'Samples of it that no earlier upload had brought.',
    duplicate UInt64 COMMENT 'Samples that it repeated itself, or that an earlier upload had brought.',
    rejected UInt64 COMMENT 'Samples that the gateway rejected; not among the accepted ones.',
    dead_lettered UInt64 COMMENT 'Samples in dead letters that have not been stored since.',
    balanced Bool COMMENT 'Whether accepted = stored + duplicate + dead_lettered.'
)
AS SELECT
    user_id,
    upload_id,
    received_at,
    if(declared > 0, declared_accepted, dead_accepted) AS accepted,
    first_provided AS stored,
    if(provided > 0, declared_repeated + provided - first_provided, 0) AS duplicate,
    declared_rejected AS rejected,
    if(provided > 0, 0, dead_accepted) AS dead_lettered,
    accepted = stored + duplicate + dead_lettered AS balanced
FROM
(
    SELECT
        user_id,
        upload_id,
        max(declarations) AS declared,
        max(at) AS received_at,
        max(n_accepted) AS declared_accepted,
        max(n_repeated) AS declared_repeated,
        max(n_rejected) AS declared_rejected,
        max(n_provided) AS provided,
        max(n_first) AS first_provided,
        max(n_dead) AS dead_accepted,
        max(dead) AS dead_letters
    FROM
    (
        SELECT
            user_id, upload_id, 1 AS declarations, uploads.received_at AS at,
            toUInt64(accepted) AS n_accepted, toUInt64(repeated) AS n_repeated,
            toUInt64(rejected) AS n_rejected, toUInt64(0) AS n_provided, toUInt64(0) AS n_first,
            toUInt64(0) AS n_dead, 0 AS dead
        FROM uploads
        UNION ALL
        SELECT user_id, upload_id, 0, toDateTime64(0, 3, 'UTC'), 0, 0, 0, count(), 0, 0, 0
        FROM samples_data FINAL
        GROUP BY user_id, upload_id
        UNION ALL
        SELECT user_id, upload_id, 0, toDateTime64(0, 3, 'UTC'), 0, 0, 0, 0, count(), 0, 0
        FROM
        (
            SELECT user_id, upload_id
            FROM samples_data FINAL
            ORDER BY user_id, metric, device_id, time, received_at, upload_id
            LIMIT 1 BY user_id, metric, device_id, time
        )
        GROUP BY user_id, upload_id
        UNION ALL
        SELECT user_id, upload_id, 0, max(at), 0, 0, 0, 0, 0, max(n), 1
        FROM
        (
            SELECT user_id, upload_id, toUInt64(n) AS n, at
            FROM dead_letters_data FINAL
            ARRAY JOIN user_ids AS user_id, upload_ids AS upload_id, accepted AS n, received_ats AS at
        )
        GROUP BY user_id, upload_id
    )
    GROUP BY user_id, upload_id
    -- Samples outlive the record of their upload by a few days when they expire.
    HAVING declared > 0 OR dead_letters > 0
)
COMMENT 'Where the samples of every upload are. SELECT count() FROM ledger WHERE NOT balanced is 0 when nothing is under way.';
