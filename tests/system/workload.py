"""Uploads sent as devices send them, and what must come of them, computed by pandas."""

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import aiohttp
import numpy as np
import pandas as pd

from tests.system.conftest import RunningSystem


@dataclass(frozen=True)
class Upload:
    """An upload of one series at native times."""

    upload_id: str
    user_id: str
    times: list[int]
    values: list[float]

    def body(self) -> dict[str, object]:
        """Return the JSON document that a device posts."""
        series = {
            "metric": "heart_rate",
            "unit": "/min",
            "times": self.times,
            "values": self.values,
        }
        return {
            "upload_id": self.upload_id,
            "user_id": self.user_id,
            "device_id": "watch",
            "source": "test",
            "series": [series | {"times": self.times, "values": self.values}],
        }


def make_uploads(count: int, *, users: int, seed: int, end_ms: int) -> list[Upload]:
    """Return uploads of ten samples each, neighbours overlapping by two, that end at ``end_ms``.

    The overlapping samples have the same values in both uploads, as when a device sends again
    what it has.
    """
    rng = np.random.default_rng(seed)
    names = [str(UUID(bytes=rng.bytes(16), version=4)) for _ in range(users)]
    turns = -(-count // users)
    length = turns * 8 + 2
    start = end_ms - length * 5_000
    series = {name: np.round(rng.normal(72, 3, length), 1).tolist() for name in names}
    made = []
    for number in range(count):
        name, turn = names[number % users], number // users
        first = turn * 8
        made.append(
            Upload(
                str(UUID(bytes=rng.bytes(16), version=4)),
                name,
                [start + 5_000 * i for i in range(first, first + 10)],
                series[name][first : first + 10],
            )
        )
    return made


def shuffled_with_repetitions(made: list[Upload], seed: int) -> list[Upload]:
    """Return the uploads in random order, a tenth of them twice."""
    order = random.Random(seed)
    sent = made + order.sample(made, len(made) // 10)
    order.shuffle(sent)
    return sent


class Sender:
    """Posts uploads as a device does: again, under the same id, until they are accepted."""

    def __init__(self, system: RunningSystem, made: list[Upload]) -> None:
        self._system = system
        self._token = system.token(*{upload.user_id for upload in made})
        self.accepted = 0
        self.refusals = 0
        self._progress = asyncio.Event()

    async def send(self, sent: list[Upload], *, concurrency: int = 16) -> None:
        """Send all of them."""
        queue = iter(sent)
        headers = {"Authorization": f"Bearer {self._token}"}
        timeout = aiohttp.ClientTimeout(total=10)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
            await asyncio.gather(*(self._post_each(session, queue) for _ in range(concurrency)))

    async def reached(self, accepted: int) -> None:
        """Wait until so many uploads have been accepted."""
        while self.accepted < accepted:
            self._progress.clear()
            await self._progress.wait()

    async def _post_each(self, session: aiohttp.ClientSession, queue: Iterator[Upload]) -> None:
        for upload in queue:
            while not await self._post(session, upload):
                self.refusals += 1
                await asyncio.sleep(0.1)

    async def _post(self, session: aiohttp.ClientSession, upload: Upload) -> bool:
        url = f"{self._system.settings.gateway}/v1/uploads"
        try:
            async with session.post(url, json=upload.body()) as answer:
                if answer.status == 503:
                    return False
                assert answer.status == 202, await answer.text()
                self.accepted += 1
                self._progress.set()
                return True
        except (aiohttp.ClientError, TimeoutError):
            return False


def expected_windows(made: list[Upload], size: str) -> pd.DataFrame:
    """Return the windows of the distinct samples, as pandas groups them."""
    samples = pd.DataFrame(
        [
            (upload.user_id, time, value)
            for upload in made
            for time, value in zip(upload.times, upload.values, strict=True)
        ],
        columns=["user_id", "time", "value"],
    ).drop_duplicates(["user_id", "time"])
    samples["window_start"] = pd.to_datetime(samples["time"], unit="ms", utc=True).dt.floor(size)
    grouped = samples.sort_values("time").groupby(["user_id", "window_start"])["value"]
    return grouped.agg(["count", "sum", "mean", "std", "min", "max", "first", "last"]).sort_index()


def stored_windows(system: RunningSystem, made: list[Upload], table: str) -> pd.DataFrame:
    """Return the windows of the uploads' people from a view, shaped as the expected ones."""
    users = ", ".join(f"'{user}'" for user in sorted({upload.user_id for upload in made}))
    found = system.query(
        f"SELECT toString(user_id) AS user_id, window_start, count, sum, mean, stddev AS std, "  # noqa: S608
        f"min, max, first, last FROM {table} WHERE user_id IN ({users}) AND metric = 'heart_rate'"
    )
    if found.empty:
        return found
    found["window_start"] = pd.to_datetime(found["window_start"], utc=True)
    return found.set_index(["user_id", "window_start"]).sort_index()
