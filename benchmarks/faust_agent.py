"""The peer on Faust as its guide writes it: an agent, one upload a record, a windowed table.

``python -m benchmarks.faust_agent BOOTSTRAP APP INPUT PARTITIONS DIRECTORY``.
"""

import sys
from bisect import bisect_left
from io import BytesIO
from typing import Any

import fastavro
import faust
import numpy as np

from schemas import registry

MINUTE_MS = 60_000
_HEADER = 5  # magic byte and schema id
_SCHEMA = registry.latest("upload").parsed
EMPTY = (0, 0.0, float("inf"), float("-inf"))


def make_app(bootstrap: str, name: str, topic: str, partitions: int, directory: str) -> faust.App:
    """Return the application: count, sum, least and greatest value of every person's minute."""
    app = faust.App(
        name,
        broker=f"kafka://{bootstrap}",
        datadir=directory,
        store="memory://",
        web_enabled=False,
        topic_partitions=partitions,
        topic_replication_factor=1,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=1.0,
        consumer_max_fetch_size=16 << 20,
        stream_wait_empty=False,
    )
    uploads = app.topic(
        topic, key_type=str, key_serializer="raw", value_serializer="raw", value_type=bytes
    )
    windows = app.Table("minutes", partitions=partitions)

    @app.agent(uploads)
    async def aggregate(stream: "faust.StreamT[bytes]") -> None:
        async for value in stream:
            buffer = BytesIO(value)
            buffer.seek(_HEADER)
            upload: Any = fastavro.schemaless_reader(buffer, _SCHEMA, None)
            series = upload["series"][0]
            times = np.frombuffer(series["times"], np.int64).tolist()
            values = np.frombuffer(series["values"], np.float64).tolist()
            begin = 0
            while begin < len(times):
                minute = times[begin] // MINUTE_MS
                end = bisect_left(times, (minute + 1) * MINUTE_MS, begin)
                part = values[begin:end]  # short: plain Python is faster than NumPy here
                key = f"{upload['user_id']}/{minute}"
                count, total, low, high = windows.get(key, EMPTY)
                windows[key] = (
                    count + len(part),
                    total + sum(part),
                    min(low, *part),
                    max(high, *part),
                )
                begin = end

    return app


def main() -> None:
    """Run the application until it is stopped."""
    bootstrap, name, topic, partitions, directory = sys.argv[1:]
    app = make_app(bootstrap, name, topic, int(partitions), directory)
    worker = faust.Worker(app, loglevel="ERROR", redirect_stdouts=False)
    worker.execute_from_commandline()


if __name__ == "__main__":
    main()
