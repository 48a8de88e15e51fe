-- What operators did with dead letters: who, when, what and why. The books count a dead letter until
-- it is replayed: from then on its samples are on their way again.

CREATE TABLE IF NOT EXISTS dead_letter_actions_data
(
    topic LowCardinality(String) COMMENT 'Topic of the dead letter, without the prefix of the deployment.',
    partition Int32 COMMENT 'Its partition.',
    offset Int64 COMMENT 'Its offset.',
    at DateTime64(3, 'UTC') COMMENT 'When it was done: a replay after the broker had acknowledged the record.',
    action Enum8('replayed' = 1, 'discarded' = 2) COMMENT 'replayed: produced again. discarded: given up for good.',
    run_id UUID COMMENT 'The command that did it, and others with it.',
    actor String COMMENT 'Who did it: os:USER@HOST, or token:SUBJECT.',
    reason String COMMENT 'Why, in the words of that person.' CODEC(ZSTD(3))
)
ENGINE = ReplacingMergeTree
ORDER BY (topic, partition, offset, at, action, run_id)
COMMENT 'What was done with dead letters. Read the view dead_letter_actions instead.';

-- Replays that were marked before actions were kept; a second run inserts the same rows.
INSERT INTO dead_letter_actions_data (topic, partition, offset, at, action, run_id, actor, reason)
SELECT topic, partition, offset, replayed_at, 'replayed', toUUID('00000000-0000-0000-0000-000000000000'), '', ''
FROM dead_letter_replays_data;

ALTER TABLE dead_letter_replays_data MODIFY COMMENT 'Replays of dead letters before migration 0004; dead_letter_actions_data has them too.';

CREATE OR REPLACE VIEW dead_letter_actions
(
    topic LowCardinality(String) COMMENT 'Topic of the dead letter.',
    partition Int32 COMMENT 'Its partition.',
    offset Int64 COMMENT 'Its offset.',
    at DateTime64(3, 'UTC') COMMENT 'When it was done.',
    action LowCardinality(String) COMMENT 'replayed or discarded.',
    run_id UUID COMMENT 'The command that did it; zero before migration 0004.',
    actor String COMMENT 'Who did it: os:USER@HOST, or token:SUBJECT; empty when unknown.',
    reason String COMMENT 'Why, in the words of that person.'
)
AS SELECT topic, partition, offset, at, toString(action) AS action, run_id, actor, reason
FROM dead_letter_actions_data FINAL
COMMENT 'What operators did with dead letters, everything that was ever done.';

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
    replays UInt64 COMMENT 'How often it was produced again.',
    replayed_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When that was done last; NULL for never.',
    state LowCardinality(String) COMMENT 'open, replayed or discarded: what was done last.',
    state_at Nullable(DateTime64(3, 'UTC')) COMMENT 'When that was done; NULL while open.',
    state_by String COMMENT 'Who did it; empty while open.'
)
AS SELECT
    letters.topic AS topic, letters.partition AS partition, letters.offset AS offset,
    failed_at, first_failed_at, attempts, error, detail, origin_topic, origin_partition, origin_offset,
    user_ids, upload_ids, arraySum(accepted) AS samples, length(payload) AS bytes,
    done.replays AS replays,
    if(done.replays > 0, done.last_replay, NULL) AS replayed_at,
    if(done.last = '', 'open', done.last) AS state,
    if(done.last = '', NULL, done.last_at) AS state_at,
    done.last_actor AS state_by
FROM (SELECT * FROM dead_letters_data FINAL) AS letters
LEFT JOIN
(
    SELECT
        topic, partition, offset,
        countIf(action = 'replayed') AS replays,
        maxIf(at, action = 'replayed') AS last_replay,
        argMax(action, at) AS last,
        max(at) AS last_at,
        argMax(actor, at) AS last_actor
    FROM dead_letter_actions
    GROUP BY topic, partition, offset
) AS done USING (topic, partition, offset)
COMMENT 'Records that could not be processed or stored, and what was done with them.';

-- As before, but a dead letter that was replayed no longer accounts for its samples: they are stored,
-- or in a newer dead letter, or under way and the upload is not balanced yet.
CREATE OR REPLACE VIEW ledger
(
    user_id UUID COMMENT 'The person.',
    upload_id UUID COMMENT 'The upload.',
    received_at DateTime64(3, 'UTC') COMMENT 'When a gateway took it.',
    accepted UInt64 COMMENT 'Samples accepted, as the gateway declared.',
    stored UInt64 COMMENT 'Samples of it that no earlier upload had brought.',
    duplicate UInt64 COMMENT 'Samples that it repeated itself, or that an earlier upload had brought.',
    rejected UInt64 COMMENT 'Samples that the gateway rejected; not among the accepted ones.',
    dead_lettered UInt64 COMMENT 'Samples in open or discarded dead letters that have not been stored since.',
    discarded UInt64 COMMENT 'Of the dead-lettered ones those that an operator has given up.',
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
    if(provided > 0, 0, greatest(dead_open, dead_discarded)) AS dead_lettered,
    if(provided > 0 OR dead_open > 0, 0, dead_discarded) AS discarded,
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
        max(n_open) AS dead_open,
        max(n_discarded) AS dead_discarded,
        max(dead) AS dead_letters
    FROM
    (
        SELECT
            user_id, upload_id, 1 AS declarations, uploads.received_at AS at,
            toUInt64(accepted) AS n_accepted, toUInt64(repeated) AS n_repeated,
            toUInt64(rejected) AS n_rejected, toUInt64(0) AS n_provided, toUInt64(0) AS n_first,
            toUInt64(0) AS n_dead, toUInt64(0) AS n_open, toUInt64(0) AS n_discarded, 0 AS dead
        FROM uploads
        UNION ALL
        SELECT user_id, upload_id, 0, toDateTime64(0, 3, 'UTC'), 0, 0, 0, count(), 0, 0, 0, 0, 0
        FROM samples_data FINAL
        GROUP BY user_id, upload_id
        UNION ALL
        SELECT user_id, upload_id, 0, toDateTime64(0, 3, 'UTC'), 0, 0, 0, 0, count(), 0, 0, 0, 0
        FROM
        (
            SELECT user_id, upload_id
            FROM samples_data FINAL
            ORDER BY user_id, metric, device_id, time, received_at, upload_id
            LIMIT 1 BY user_id, metric, device_id, time
        )
        GROUP BY user_id, upload_id
        UNION ALL
        SELECT
            user_id, upload_id, 0, max(at), 0, 0, 0, 0, 0,
            max(n), maxIf(n, last = ''), maxIf(n, last = 'discarded'), 1
        FROM
        (
            SELECT user_id, upload_id, toUInt64(n) AS n, at, done.last AS last
            FROM
            (
                SELECT topic, partition, offset, user_id, upload_id, n, at
                FROM dead_letters_data FINAL
                ARRAY JOIN user_ids AS user_id, upload_ids AS upload_id, accepted AS n, received_ats AS at
            ) AS letters
            LEFT JOIN
            (
                SELECT topic, partition, offset, argMax(action, dead_letter_actions.at) AS last
                FROM dead_letter_actions
                GROUP BY topic, partition, offset
            ) AS done USING (topic, partition, offset)
        )
        GROUP BY user_id, upload_id
    )
    GROUP BY user_id, upload_id
    -- Samples outlive the record of their upload by a few days when they expire.
    HAVING declared > 0 OR dead_letters > 0
)
COMMENT 'Where the samples of every upload are. SELECT count() FROM ledger WHERE NOT balanced is 0 when nothing is under way.';
