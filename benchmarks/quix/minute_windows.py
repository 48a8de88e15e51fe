"""The peer on Quix Streams as its guide writes it: one upload a record, a tumbling window.

Runs in an environment of its own (``requirements.lock``), so it imports nothing of the product.

``python minute_windows.py BOOTSTRAP GROUP INPUT OUTPUT DIRECTORY SCHEMA``, the last the Avro
schema of an upload.
"""

import json
import sys
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from fastavro import parse_schema
from quixstreams import Application
from quixstreams.models import SerializationContext
from quixstreams.models.serializers.avro import AvroDeserializer

MINUTE_MS = 60_000
GRACE_MS = 15 * MINUTE_MS
_HEADER = 5  # magic byte and schema id


class UploadDeserializer(AvroDeserializer):
    """Avro behind the Confluent wire format's header, without asking a registry."""

    def __call__(self, value: bytes, ctx: SerializationContext) -> object:
        """Return the upload."""
        return super().__call__(value[_HEADER:], ctx)


def minutes(upload: dict[str, Any]) -> Iterator[dict[str, float]]:
    """Cut an upload into its minutes, so that a window is touched once an upload."""
    series = upload["series"][0]
    times = np.frombuffer(series["times"], np.int64).tolist()
    values = np.frombuffer(series["values"], np.float64).tolist()
    begin = 0
    while begin < len(times):
        minute = times[begin] // MINUTE_MS * MINUTE_MS
        end = bisect_left(times, minute + MINUTE_MS, begin)
        part = values[begin:end]  # short: plain Python is faster than NumPy here
        yield {
            "at": minute,
            "count": end - begin,
            "sum": sum(part),
            "min": min(part),
            "max": max(part),
        }
        begin = end


def first(part: dict[str, float]) -> dict[str, float]:
    """Begin a window."""
    return {name: part[name] for name in ("count", "sum", "min", "max")}


def merge(whole: dict[str, float], part: dict[str, float]) -> dict[str, float]:
    """Add to a window."""
    return {
        "count": whole["count"] + part["count"],
        "sum": whole["sum"] + part["sum"],
        "min": min(whole["min"], part["min"]),
        "max": max(whole["max"], part["max"]),
    }


def main() -> None:
    """Run until stopped."""
    bootstrap, group, source, target, directory, schema = sys.argv[1:]
    app = Application(
        broker_address=bootstrap,
        consumer_group=group,
        auto_offset_reset="earliest",
        commit_interval=1.0,
        state_dir=directory,
        loglevel="WARNING",
        consumer_extra_config={"fetch.message.max.bytes": 16 << 20},
        producer_extra_config={"compression.type": "lz4", "linger.ms": 20},
    )
    read = UploadDeserializer(parse_schema(json.loads(Path(schema).read_text())))
    uploads = app.topic(source, key_deserializer="str", value_deserializer=read)
    windows = app.topic(target, key_serializer="str", value_serializer="json")
    (
        app.dataframe(uploads)
        .apply(minutes, expand=True)
        .set_timestamp(lambda part, _key, _timestamp, _headers: part["at"])
        .tumbling_window(MINUTE_MS, grace_ms=GRACE_MS)
        .reduce(merge, first)
        .final(closing_strategy="partition")
        .to_topic(windows)
    )
    app.run()


if __name__ == "__main__":
    main()
