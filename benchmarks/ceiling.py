"""Decode ceilings: consume and decode, nothing else. What no consumer in Python can exceed.

``python -m benchmarks.ceiling BOOTSTRAP GROUP TOPIC uploads|batches``: one upload a record, or the
product's columnar batches, with every check that decoding them makes.
"""

import sys
import time
from collections.abc import Callable
from io import BytesIO
from typing import Any

import fastavro
import numpy as np
from confluent_kafka import Consumer

from app.errors import KafkaUnavailableError
from schemas import registry
from schemas.codec import Codec
from schemas.uploads import decode

_HEADER = 5  # magic byte and schema id
_COMMIT_SECONDS = 0.5


def upload_decoder() -> Callable[[bytes], object]:
    """Return what decodes a record of one upload: its columns become arrays."""
    schema = registry.latest("upload").parsed

    def read(value: bytes) -> object:
        buffer = BytesIO(value)
        buffer.seek(_HEADER)
        upload: Any = fastavro.schemaless_reader(buffer, schema, None)
        for series in upload["series"]:
            series["times"] = np.frombuffer(series["times"], np.int64)
            series["values"] = np.frombuffer(series["values"], np.float64)
        return upload

    return read


def batch_decoder() -> Callable[[bytes], object]:
    """Return what decodes and checks a record of topic ``uploads``."""
    codec = Codec()
    return lambda value: decode(value, codec)


def main() -> None:
    """Drain the topic until stopped, committing twice a second."""
    bootstrap, group, topic, kind = sys.argv[1:]
    read = upload_decoder() if kind == "uploads" else batch_decoder()
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.message.max.bytes": 16 << 20,
            "queued.max.messages.kbytes": 64 << 10,
        }
    )
    consumer.subscribe([topic])
    committed, pending = time.monotonic(), False
    while True:
        for message in consumer.consume(500, timeout=0.1):
            if (error := message.error()) is not None:
                raise KafkaUnavailableError(error.str())
            read(message.value() or b"")
            pending = True
        if pending and time.monotonic() - committed >= _COMMIT_SECONDS:
            consumer.commit(asynchronous=True)
            committed, pending = time.monotonic(), False


if __name__ == "__main__":
    main()
