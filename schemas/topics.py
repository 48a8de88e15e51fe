"""Topics: names, keys, retention and schemas. They are created by ``vitalstream topics``."""

from dataclasses import dataclass, field
from typing import Final

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS

UPLOADS: Final = "uploads"
RETRY_5S: Final = "uploads-retry-5s"
RETRY_1M: Final = "uploads-retry-1m"
RETRY_10M: Final = "uploads-retry-10m"
DEAD_LETTERS: Final = "uploads-dlq"
SAMPLES: Final = "samples"
WINDOWS: Final = "windows"
ALERTS: Final = "alerts"
REJECTED: Final = "rejected-samples"
UPLOAD_STATUS: Final = "upload-status"
USER_SETTINGS: Final = "user-settings"

WORKER: Final = "vitalstream-worker"
SINK: Final = "vitalstream-sink"
RETRIES: Final = "vitalstream-retries"
STATE_TABLE: Final = "user-state"
STATE_CHANGELOG: Final = f"{WORKER}-{STATE_TABLE}-changelog"

RETRY_TIERS: Final = {RETRY_5S: 5.0, RETRY_1M: 60.0, RETRY_10M: 600.0}
"""Retry topics and their delays in seconds, in the order in which they are tried."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic.

    Attributes
    ----------
    name : str
        Its name.
    key : str
        What a record's key is, in words.
    subject : str
        Schema subject of its values; empty for raw bytes.
    purpose : str
        What it is for, in a sentence.
    config : dict
        Kafka topic settings that differ from the broker's.
    """

    name: str
    key: str
    subject: str
    purpose: str
    config: dict[str, str] = field(default_factory=dict)


def _keep(days: float) -> dict[str, str]:
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(int(days * DAY_MS)),
        "max.message.bytes": str(8 << 20),
    }


_COMPACT = {
    "cleanup.policy": "compact",
    "min.cleanable.dirty.ratio": "0.2",
    "segment.ms": str(HOUR_MS),
    "max.message.bytes": str(8 << 20),
}

TOPICS: Final = (
    Topic(UPLOADS, "none; the partition is murmur2 of the user", "upload_batch",
          "accepted uploads, as columnar batches", _keep(7)),
    Topic(RETRY_5S, "none", "upload_batch", "uploads to try again after 5 s", _keep(7)),
    Topic(RETRY_1M, "none", "upload_batch", "uploads to try again after 1 min", _keep(7)),
    Topic(RETRY_10M, "none", "upload_batch", "uploads to try again after 10 min", _keep(7)),
    Topic(DEAD_LETTERS, "none", "", "records that cannot be processed: original bytes", _keep(90)),
    Topic(SAMPLES, "none", "accepted_batch", "applied batches, for storage", _keep(7)),
    Topic(WINDOWS, "none", "window_batch", "windows that changed", _keep(7)),
    Topic(ALERTS, "user id", "alert", "revisions of alerts", _keep(90)),
    Topic(REJECTED, "user id", "rejected_samples", "samples that were not accepted", _keep(30)),
    Topic(UPLOAD_STATUS, "batch id and stage", "upload_status", "how far uploads have come",
          _COMPACT | {"cleanup.policy": "compact,delete", "retention.ms": str(7 * DAY_MS)}),
    Topic(USER_SETTINGS, "user id", "user_settings", "settings of people", _COMPACT),
    Topic(STATE_CHANGELOG, "user id, or the source partition's mark", "user_state",
          "changelog of the workers' state",
          _COMPACT | {"segment.bytes": str(64 << 20), "segment.ms": str(HOUR_MS // 6)}),
)  # fmt: skip


def partition_of(user_id: str, partitions: int) -> int:
    """Return the partition of a user: Kafka's murmur2 of the id's UTF-8, as Java clients do."""
    return (_murmur2(user_id.encode()) & 0x7FFFFFFF) % partitions


def _murmur2(data: bytes) -> int:
    # Apache Kafka's Utils.murmur2: 32-bit, seed 0x9747b28c, not the reference implementation's tail
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    length = len(data)
    h = (0x9747B28C ^ length) & mask
    for i in range(0, length - 3, 4):
        k = int.from_bytes(data[i : i + 4], "little")
        k = (k * m) & mask
        k ^= k >> 24
        k = (k * m) & mask
        h = ((h * m) & mask) ^ k
    tail = data[length & ~3 :]
    if tail:
        h ^= int.from_bytes(tail, "little")
        h = (h * m) & mask
    h ^= h >> 13
    h = (h * m) & mask
    return h ^ (h >> 15)
