"""Uploads made by scripts, as if every one of them had been acknowledged at once."""

from app.chaos.journal import Sending
from app.chaos.load import Script
from app.chaos.people import Device, people

END_MS = 1_795_428_000_000  # 2026-11-23T10:00:00Z
DAY_MS = 86_400_000
ANSWER = {"accepted": 0, "rejected": []}


def device(seed: int = 1, name: str = "watch") -> Device:
    every = (one for person in people(seed, 2) for one in person.devices)
    return next(one for one in every if one.name.startswith(name))


def made(seed: int, of: Device, count: int, *, jumps: bool = True) -> list[Sending]:
    """Return what a device sends in ``count`` actions, in the order in which it does."""
    script = Script(seed, of, start_ms=END_MS - 2 * DAY_MS, end_ms=END_MS)
    sent = []
    for number in range(count):
        if jumps and number % 50 == 49:
            script.jump(number % 7 / 7)
        upload = script.make(script.draw())
        if upload is not None:
            upload.answer = ANSWER
            sent.append(upload)
    return sent + script.leftover()
