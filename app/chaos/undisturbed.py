"""An undisturbed run of the same input, to compare alerts with.

What is promised of alerts: the same input gives the same alerts, with the same ids, in any
batching, before and after a crash. The input of the worker is topic ``uploads`` in the order in
which it stands there. So that topic is copied, in its order, to another prefix, and one worker that
nothing happens to reads the copy. Its alerts are what the disturbed run has to have.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    Message,
    Producer,
    TopicPartition,
)

from app.chaos.compare import Findings
from app.chaos.poison import Poison
from app.chaos.system import EmbeddedSystem
from app.embedded.process import Deadline
from app.errors import DecodeError, KafkaUnavailableError, UnknownSchemaError
from app.kafka.admin import create_topics
from app.kafka.clients import consumer_config, producer_config
from app.kafka.lag import lags
from app.settings import Settings
from schemas.codec import Codec
from schemas.topics import ALERTS, UPLOADS, USER_SETTINGS, WORKER

_PREFIX: Final = "undisturbed-"
_READ_SECONDS: Final = 60.0
_APPLY_SECONDS: Final = 600.0
_POLL_SECONDS: Final = 0.3
_STORED: Final = ("alert_id", "user_id", "metric", "device_id", "rule", "rule_version", "severity",
                  "status", "revision", "opened_ms", "changed_ms", "resolved_ms", "value", "unit",
                  "expected_low", "expected_high", "baseline_count", "explanation")  # fmt: skip

Revisions = dict[tuple[str, int], dict[str, Any]]
"""Alerts by id and revision."""


def compare_alerts(
    system: EmbeddedSystem,
    poison: Sequence[Poison],
    stored: Mapping[str, Mapping[str, Any]],
    findings: Findings,
) -> None:
    """Run the input once more and compare every revision of every alert.

    Parameters
    ----------
    system : EmbeddedSystem
        The broker has to run; its own workers should not.
    poison : sequence of Poison
        What was written to the topics without being a record.
    stored : mapping
        The rows of the view ``alerts``, by alert id.
    findings : Findings
        Where results are noted.

    Raises
    ------
    KafkaUnavailableError
        If the broker does not answer, or the undisturbed run does not end.
    """
    spoiled = {(one.topic, one.partition, one.offset) for one in poison}
    disturbed = _revisions(system.settings, spoiled, findings)
    calm = system.settings.model_copy(update={"topic_prefix": _PREFIX})
    create_topics(calm)
    _copy(system.settings, calm, USER_SETTINGS)
    worker = system.run_undisturbed("undisturbed", _PREFIX)
    try:
        _copy(system.settings, calm, UPLOADS)
        _wait_applied(calm)
    finally:
        worker.stop()
    wanted = _revisions(calm, set(), findings)
    findings.checked["revisions of alerts"] += len(wanted)
    for key in wanted.keys() | disturbed.keys():
        if wanted.get(key) != disturbed.get(key):
            findings.differ(
                "revisions of alerts",
                f"{key}: {disturbed.get(key)}, undisturbed: {wanted.get(key)}",
            )
    _compare_stored(wanted, stored, findings)


def _compare_stored(
    wanted: Revisions, stored: Mapping[str, Mapping[str, Any]], findings: Findings
) -> None:
    last: dict[str, dict[str, Any]] = {}
    for (alert_id, _), alert in sorted(wanted.items()):
        last[alert_id] = {name: alert[name] for name in _STORED}
    findings.checked["alerts"] += len(last)
    for alert_id in last.keys() | stored.keys():
        ours, theirs = last.get(alert_id), stored.get(alert_id)
        if theirs is None or ours is None or ours != dict(theirs):
            findings.differ("alerts", f"stored: {theirs and dict(theirs)}, undisturbed: {ours}")


def _revisions(
    settings: Settings, spoiled: set[tuple[str, int, int]], findings: Findings
) -> Revisions:
    """Return what stands in topic ``alerts``; a revision that stands there twice is the same."""
    codec = Codec()
    found: Revisions = {}
    for message in read_all(settings, ALERTS):
        if (ALERTS, message.partition(), message.offset()) in spoiled:
            continue
        try:
            alert = codec.decode("alert", message.value() or b"")
        except (DecodeError, UnknownSchemaError) as error:
            findings.differ("revisions of alerts", f"not a record: {error}")
            continue
        key = alert["alert_id"], alert["revision"]
        if found.setdefault(key, alert) != alert:
            findings.differ("revisions of alerts", f"{key} has two contents")
    return found


def read_all(settings: Settings, topic: str) -> Iterator[Message]:
    """Yield every record that stands in a topic now, each partition in its order.

    Raises
    ------
    KafkaUnavailableError
        If it cannot be read to its end in time.
    """
    consumer = Consumer(consumer_config(settings, "chaos-reader") | {"enable.partition.eof": True})
    name = settings.topic(topic)
    ends = set(range(settings.partitions))
    consumer.assign([TopicPartition(name, number, OFFSET_BEGINNING) for number in ends])
    deadline = Deadline(_READ_SECONDS)
    try:
        while ends:
            for message in consumer.consume(500, 1):
                error = message.error()
                if error is None:
                    yield message
                    deadline = Deadline(_READ_SECONDS)
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  (its public name)
                    ends.discard(message.partition() or 0)
            if deadline.passed:
                raise KafkaUnavailableError(f"topic {topic} could not be read to its end")
    finally:
        consumer.close()


def _copy(source: Settings, target: Settings, topic: str) -> None:
    """Copy a topic, record by record, into the same partitions."""
    producer = Producer(producer_config(target, delivery_seconds=_READ_SECONDS))
    failures: list[str] = []

    def report(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failures.append(error.str())

    for message in read_all(source, topic):
        while True:
            try:
                producer.produce(
                    target.topic(topic), value=message.value(), key=message.key(),
                    partition=message.partition() or 0, headers=message.headers(),
                    on_delivery=report,
                )  # fmt: skip
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    if producer.flush(_READ_SECONDS) or failures:
        raise KafkaUnavailableError(f"topic {topic} could not be copied: {failures[:3]}")


def _wait_applied(settings: Settings) -> None:
    deadline = Deadline(_APPLY_SECONDS)
    while sum(one.lag for one in lags(settings) if one.group == WORKER):
        if deadline.passed:
            raise KafkaUnavailableError("the undisturbed worker did not read its input to the end")
        time.sleep(_POLL_SECONDS)
