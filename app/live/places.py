"""Where the live topics stand: which topics they are, and what to read of them."""

import hashlib
from collections.abc import Sequence
from typing import Final

from confluent_kafka import Consumer, TopicCollection, TopicPartition

from app.errors import KafkaUnavailableError
from app.kafka.admin import admin
from app.settings import Settings

_TIMEOUT: Final = 10.0


def topics_now(settings: Settings, topics: Sequence[str]) -> tuple[str, int]:
    """Return a name of these very topics, and their number of partitions.

    The name is the same in every gateway, and another when a topic was made anew: offsets under
    one name mean nothing under another.

    Raises
    ------
    KafkaException
        If the broker does not answer, or a topic is missing.
    KafkaUnavailableError
        If the topics differ in their number of partitions.
    """
    digest = hashlib.blake2s(digest_size=8)
    partitions: set[int] = set()
    client = admin(settings)  # answers come only while it is referred to
    described = client.describe_topics(TopicCollection(list(topics)), request_timeout=_TIMEOUT)
    for name in topics:
        topic = described[name].result(_TIMEOUT)
        digest.update(f"{topic.topic_id}/{len(topic.partitions)};".encode())
        partitions.add(len(topic.partitions))
    if len(partitions) != 1 or 0 in partitions:
        raise KafkaUnavailableError(f"the live topics have {sorted(partitions)} partitions")
    return digest.hexdigest(), partitions.pop()


def spans_since(
    consumer: Consumer, topics: Sequence[str], partitions: int, since_ms: int
) -> dict[tuple[str, int], tuple[int, int]]:
    """Return for each partition the offset of the first record since an instant, and its end.

    Parameters
    ----------
    consumer : Consumer
        Asks; nothing needs to be assigned to it.
    topics : sequence of str
        Full names.
    partitions : int
        Of each topic.
    since_ms : int
        Epoch milliseconds.

    Raises
    ------
    KafkaException
        If the broker does not answer.
    """
    asked = [TopicPartition(topic, n, since_ms) for topic in topics for n in range(partitions)]
    spans = {}
    for start in consumer.offsets_for_times(asked, timeout=_TIMEOUT):
        end = consumer.get_watermark_offsets(start, timeout=_TIMEOUT)[1]
        # Where nothing is that young the answer is no offset: from the end.
        spans[start.topic, start.partition] = (start.offset if start.offset >= 0 else end, end)
    return spans
