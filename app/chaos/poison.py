"""Records that are none of their topic, and what must become of each."""

import random
from dataclasses import dataclass
from typing import Final

from confluent_kafka import KafkaError, Message, Producer

from app.errors import KafkaUnavailableError
from app.kafka.clients import producer_config
from app.settings import Settings
from schemas import topics
from schemas.codec import Codec

STORED: Final = (
    topics.SAMPLES,
    topics.WINDOWS,
    topics.ALERTS,
    topics.REJECTED,
    topics.UPLOAD_STATUS,
    topics.DEAD_LETTERS,
)
"""Topics of the sink: it keeps what it cannot read in ``dead_letters``, under its own place."""
APPLIED: Final = (topics.UPLOADS, *topics.RETRY_TIERS)
"""Topics that lead to the worker: it moves what it cannot read to the dead-letter topic."""
PASSED_OVER: Final = (topics.USER_SETTINGS,)
"""Followed for their latest records; what cannot be read there is counted and passed over."""
_KEYED: Final = (topics.UPLOAD_STATUS, topics.USER_SETTINGS)
_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Poison:
    """A record that the broker has acknowledged."""

    topic: str
    partition: int
    offset: int
    value: bytes


class Poisoner:
    """Writes poison to every topic but the workers' changelog, which is theirs alone.

    Parameters
    ----------
    settings : Settings
        Of the system, around the links: poison is to arrive.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._codec = Codec()
        self.written: list[Poison] = []

    def poison(self, pick: float) -> int:
        """Write one record to each topic; return how many.

        Parameters
        ----------
        pick : float
            Chooses partitions and bytes.

        Raises
        ------
        KafkaUnavailableError
            If the broker did not acknowledge all of them; those that it did are in ``written``.
        """
        chance = random.Random(pick)  # noqa: S311  (must be repeatable, guards nothing)
        producer = Producer(producer_config(self._settings, delivery_seconds=_SECONDS))
        failures: list[str] = []

        def report(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                failures.append(error.str())
                return
            self.written.append(
                Poison(
                    (message.topic() or "").removeprefix(self._settings.topic_prefix),
                    message.partition() or 0,
                    message.offset() or 0,
                    message.value() or b"",
                )
            )

        for topic in (*APPLIED, *STORED, *PASSED_OVER):
            producer.produce(
                self._settings.topic(topic),
                value=self._value(chance),
                key=chance.randbytes(8).hex() if topic in _KEYED else None,
                partition=chance.randrange(self._settings.partitions),
                on_delivery=report,
            )
        left = producer.flush(_SECONDS + 5)
        if left or failures:
            raise KafkaUnavailableError(f"poison was not taken: {left} left, {failures}")
        return len(APPLIED) + len(STORED) + len(PASSED_OVER)

    def _value(self, chance: random.Random) -> bytes:
        """Return bytes that occur only once, and that no schema of the project describes."""
        mark = chance.randbytes(16)
        return chance.choice(
            (
                mark,  # no magic byte, most of the time
                b"\x00" + (99_999).to_bytes(4, "big") + mark,  # a schema that nobody knows
                self._codec.encode("alert", _ALERT)[:12] + mark,  # another subject, cut short
                b"\x00" + mark[:3],  # shorter than its own head
                b"\xff" * chance.randrange(1, 40_000) + mark,
            )
        )


_ALERT: Final = {
    "alert_id": "00000000-0000-4000-8000-000000000000", "user_id": "", "metric": "",
    "device_id": "",
    "rule": "", "rule_version": 1, "severity": "info", "status": "opened", "revision": 1,
    "opened_ms": 0, "changed_ms": 0, "resolved_ms": None, "value": 0.0, "unit": "",
    "expected_low": None, "expected_high": None, "baseline_count": 0, "window_start_ms": 0,
    "window_end_ms": 0, "explanation": "", "sample_times": [], "sample_values": [],
}  # fmt: skip
