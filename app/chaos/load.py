"""What a device sends, and in which order: a script drawn from the seed."""

import random
from collections import deque
from typing import Any, Final
from uuid import UUID

from app.chaos.journal import Piece, Sending
from app.chaos.people import Channel, Device

_MINUTE_MS: Final = 60_000
_HOUR_MS: Final = 60 * _MINUTE_MS
_DAY_MS: Final = 24 * _HOUR_MS
_LATE_DAYS: Final = 60
_REMEMBERED: Final = 12  # uploads; a worker knows a person's last 64 by their ids
_ACTIONS: Final = {
    "next": 48,  # the samples that follow
    "overlap": 10,  # those, and again some that came before
    "hold": 8,  # those, but sent only after a few later ones
    "dying": 4,  # those, and given up when the first attempt brings no answer
    "bad": 4,  # those, some of them broken
    "again": 9,  # an earlier upload once more, under its id
    "copy": 5,  # earlier samples by another route: under another id
    "late": 7,  # samples from far before the live horizon
    "correct": 5,  # other values for earlier samples
}
"""What a device does next, and how often of 100."""

BARRIERS: Final = frozenset({"correct", "copy"})
"""Done only when everything before was answered, and answered before anything after."""


class Script:
    """The uploads of one device, one after the other.

    Samples lie on a grid that moves with the device's clock, so that an instant comes up again
    only where that is meant. All values are multiples of a half: sums are exact in any order.

    Parameters
    ----------
    seed : int
        Of the run.
    device : Device
        Whose uploads.
    start_ms : int
        Instant of its first sample, epoch milliseconds.
    end_ms : int
        No sample that has to be accepted lies beyond.
    """

    def __init__(self, seed: int, device: Device, *, start_ms: int, end_ms: int) -> None:
        self._chance = random.Random(f"{seed}/{device.user_id}/{device.name}")  # noqa: S311
        self._device = device
        self._start_ms, self._cursor_ms, self._end_ms = start_ms, start_ms, end_ms
        self._order = 0
        self._late_places: set[int] = set()
        self._held: list[tuple[int, Sending]] = []
        self._recent: deque[Sending] = deque(maxlen=_REMEMBERED)
        self._values: dict[tuple[str, int], float] = {}
        self._spells = dict.fromkeys((channel.metric for channel in device.channels), 0)

    def jump(self, pick: float) -> int:
        """Let the device's clock jump, back or ahead; return by how many milliseconds."""
        jumps = (-6 * _HOUR_MS, -20 * _MINUTE_MS, -90_000, 90_000, 10 * _MINUTE_MS, 3 * _HOUR_MS)
        # Never a whole number of steps: the grid moves too.
        ahead = jumps[int(pick * len(jumps))] + self._chance.randrange(1, 999) * 2 + 1
        if self._cursor_ms + ahead + self._device.span_ms > self._end_ms:
            ahead = -abs(ahead)
        self._cursor_ms += ahead
        return ahead

    def draw(self) -> str:
        """Return what the device does next; pass it on to :meth:`make`."""
        due = [held for held in self._held if held[0] <= self._order]
        if due:
            return "release"
        return self._chance.choices(list(_ACTIONS), list(_ACTIONS.values()))[0]

    def make(self, action: str) -> Sending | None:
        """Return the upload of an action; None when it sends nothing now."""
        self._order += 1
        if action == "release":
            return self._release()
        if action == "again":
            return self._again()
        if action in ("copy", "correct"):
            return self._revised(action)
        pieces = self._late() if action == "late" else self._following()
        if action == "overlap":
            pieces = self._overlapping(pieces)
        if action == "bad":
            pieces = tuple(self._broken(piece) for piece in pieces)
        upload = self._upload(action, pieces)
        if action == "hold":
            self._held.append((self._order + self._chance.randint(2, 6), upload))
            return None
        if action not in ("dying", "bad"):
            self._recent.append(upload)
        return upload

    def leftover(self) -> list[Sending]:
        """Return what is still held back, for the end of the run."""
        held, self._held = self._held, []
        return [upload for _, upload in held]

    def _upload(self, action: str, pieces: tuple[Piece, ...], source: str = "chaos") -> Sending:
        upload_id = str(UUID(int=self._chance.getrandbits(128), version=4))
        return Sending(
            upload_id, self._device.user_id, self._device.name, source, action, pieces, self._order
        )

    def _release(self) -> Sending:
        place = min(range(len(self._held)), key=lambda n: self._held[n][0])
        upload = self._held.pop(place)[1]
        self._recent.append(upload)
        return upload

    def _again(self) -> Sending | None:
        return self._chance.choice(self._recent) if self._recent else None

    def _following(self) -> tuple[Piece, ...]:
        if self._cursor_ms + self._device.span_ms > self._end_ms:
            self._cursor_ms = self._start_ms - self._chance.randrange(_HOUR_MS)
        at = self._cursor_ms
        while self._known(at):  # a clock that jumped twice may be where it was
            at += 7
        self._cursor_ms = at + self._device.span_ms
        return tuple(self._fresh(channel, at) for channel in self._device.channels)

    def _known(self, at: int) -> bool:
        return any(
            (channel.metric, at + channel.step_ms * n) in self._values
            for channel in self._device.channels
            for n in range(channel.count)
        )

    def _late(self) -> tuple[Piece, ...]:
        span = self._device.span_ms
        while True:
            place = self._chance.randrange(_LATE_DAYS * _DAY_MS // span)
            if place not in self._late_places:
                break
        self._late_places.add(place)
        at = self._start_ms - 2 * _DAY_MS - (place + 1) * span
        return tuple(self._fresh(channel, at) for channel in self._device.channels)

    def _fresh(self, channel: Channel, at: int) -> Piece:
        times = tuple(at + channel.step_ms * n for n in range(channel.count))
        left = self._spells[channel.metric]
        if left == 0 and self._chance.random() < 0.02:
            left = self._chance.randint(4, 14)
        self._spells[channel.metric] = max(left - 1, 0)
        low, high = channel.low, channel.high
        if left:
            low, high = channel.spell - 2, channel.spell + 2
        middle = self._chance.uniform(low, high)
        values = tuple(
            round(2 * min(high, max(low, self._chance.gauss(middle, (high - low) / 20)))) / 2
            for _ in times
        )
        self._remember(channel.metric, times, values)
        return Piece(channel.metric, channel.unit, times, values)

    def _remember(self, metric: str, times: tuple[int, ...], values: tuple[float, ...]) -> None:
        for time, value in zip(times, values, strict=True):
            self._values[metric, time] = value

    def _overlapping(self, pieces: tuple[Piece, ...]) -> tuple[Piece, ...]:
        if not self._recent:
            return pieces
        before = {piece.metric: piece for piece in self._recent[-1].pieces}
        joined = []
        for piece in pieces:
            old = before.get(piece.metric)
            if old is None:
                joined.append(piece)
                continue
            tail = [t for t in old.times[-max(1, len(old.times) // 2) :] if t not in piece.times]
            now = tuple(self._values[piece.metric, t] for t in tail)
            joined.append(
                Piece(piece.metric, piece.unit, (*tail, *piece.times), (*now, *piece.values))
            )
        return tuple(joined)

    def _revised(self, action: str) -> Sending | None:
        """Return earlier samples under a new id, with the values that count, or with others."""
        known = [upload for upload in self._recent if upload.acknowledged]
        if not known:
            return None
        old = self._chance.choice(known)
        if action == "copy":
            pieces = tuple(self._as_it_counts(piece) for piece in old.pieces)
            return self._upload(action, pieces, source="chaos-export")
        piece = self._chance.choice(old.pieces)
        count = self._chance.randint(1, len(piece.times))
        times = tuple(sorted(self._chance.sample(piece.times, count)))
        values = tuple(self._other(piece.metric, time) for time in times)
        self._remember(piece.metric, times, values)
        return self._upload(action, (Piece(piece.metric, piece.unit, times, values),))

    def _as_it_counts(self, piece: Piece) -> Piece:
        values = tuple(self._values[piece.metric, time] for time in piece.times)
        return Piece(piece.metric, piece.unit, piece.times, values)

    def _other(self, metric: str, time: int) -> float:
        # Downwards as well, so that the greater of two values is not always the newer.
        value, by = self._values[metric, time], self._chance.choice((-2.5, -1.0, -0.5, 0.5, 1.5))
        [channel] = [one for one in self._device.channels if one.metric == metric]
        return value + by if value + by <= max(channel.high, channel.spell) else value - abs(by)

    def _broken(self, piece: Piece) -> Piece:
        times: list[Any] = list(piece.times)
        values: list[Any] = list(piece.values)
        wrong: dict[int, str] = {}
        for place in self._chance.sample(range(len(times)), max(1, len(times) // 3)):
            reason = self._chance.choice(("out_of_range", "not_a_number", "future_time",
                                          "bad_time", "missing_value"))  # fmt: skip
            wrong[place] = reason
            if reason == "out_of_range":
                values[place] = 99_999.5
            elif reason == "not_a_number":
                values[place] = "unknown"
            elif reason == "missing_value":
                values[place] = None
            elif reason == "future_time":
                times[place] = self._end_ms + 30 * _DAY_MS + place
            else:
                times[place] = "yesterday"
        return Piece(piece.metric, piece.unit, tuple(times), tuple(values), wrong)
