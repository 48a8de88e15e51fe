"""A process that sends uploads as fast as a server answers them.

It says ``warm`` when it begins to count, and ends with one line of JSON. The deployment, and with
it the key of the tokens, comes from ``VITALSTREAM_*``.
"""

import argparse
import asyncio
import itertools
import os
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field

import orjson

from app.settings import Settings
from benchmarks.http_client import Connection, connect
from benchmarks.http_uploads import BODIES, Template, templates, users_of

STATUS_ACCEPTED = 202


@dataclass(slots=True)
class Load:
    """What was answered from the end of the warming on.

    ``statuses`` counts answers by status, ``took`` are the seconds that each took, ``seconds`` is
    how long all of them took together.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    took: list[float] = field(default_factory=list)
    seconds: float = 0.0


async def saturate(
    address: tuple[str, int], sent: list[Template], *, connections: int, seconds: float
) -> Load:
    """Keep every connection busy for some seconds: an answer is followed by the next upload.

    Before that every template is sent once, so that servers have seen every token.
    """
    load = Load()
    turn, ids = itertools.cycle(sent), _upload_ids()
    cold, busy, start = len(sent), connections, 0.0
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def answered(connection: Connection, status: int, _: bytes, took: float) -> None:
        nonlocal cold, busy, start
        now = time.perf_counter()
        if cold > 0:
            cold -= 1
            start = now
            if not cold:
                print("warm", flush=True)
        else:
            load.statuses[status] += 1
            load.took.append(took)
        if now - start < seconds:
            connection.send(next(turn).request(next(ids)))
            return
        busy -= 1
        if not busy and not ended.done():
            load.seconds = now - start
            ended.set_result(None)

    def lost(_: Connection) -> None:
        if not ended.done():
            ended.set_exception(ConnectionError("the server closed a connection"))

    opened = [await connect(address, answered, lost) for _ in range(connections)]
    for connection in opened:
        connection.send(next(turn).request(next(ids)))
    await asyncio.wait_for(ended, seconds + 60)
    for connection in opened:
        connection.close()
    return load


def _upload_ids() -> "itertools.starmap[uuid.UUID]":
    """Return distinct ids, cheaper than random ones: a random half and a count."""
    high = uuid.uuid4().int & ~((1 << 62) - 1)
    return itertools.starmap(
        lambda n: uuid.UUID(int=high | n), zip(itertools.count(), strict=False)
    )


def main() -> None:
    """Run one load and print what was answered."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--body", choices=BODIES, required=True)
    parser.add_argument("--connections", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cores", type=lambda text: {int(core) for core in text.split(",")})
    asked = parser.parse_args()
    if asked.cores:
        os.sched_setaffinity(0, asked.cores)
    settings = Settings()
    sent = templates(
        settings,
        asked.body,
        users=users_of(asked.seed, asked.users),
        samples=asked.samples,
        seed=asked.seed,
    )
    load = asyncio.run(
        saturate(
            (asked.host, asked.port), sent, connections=asked.connections, seconds=asked.seconds
        )
    )
    found = sorted(load.took)
    print(
        orjson.dumps(
            {
                "answered": len(found),
                "refused": len(found) - load.statuses[STATUS_ACCEPTED],
                "seconds": load.seconds,
                "p50_ms": 1000 * found[len(found) // 2],
                "p99_ms": 1000 * found[len(found) * 99 // 100],
                "body_bytes": len(sent[0].body),
            }
        ).decode()
    )


if __name__ == "__main__":
    main()
