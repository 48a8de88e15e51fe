"""What is kept of a series besides its row while something goes on in it."""

import struct
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import ClassVar, Final, Self

from app.errors import DecodeError
from tables.alerts import MAX_EVIDENCE
from tables.detection.crossings import SideState
from tables.detection.stretch import Stretch
from tables.detection.unusual import UnusualState

VERSION: Final = 1


@dataclass(slots=True)
class Active:
    """States of the rules of a series with an open alert, or with a run of values beyond.

    Attributes
    ----------
    unusual, low, high
        The rules' states.
    times, values
        The latest samples since the earliest run that goes on, at most MAX_EVIDENCE: what alerts
        show.
    """

    HEADER: ClassVar[struct.Struct] = struct.Struct("<BB")

    unusual: UnusualState = field(default_factory=UnusualState)
    low: SideState = field(default_factory=SideState)
    high: SideState = field(default_factory=SideState)
    times: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    @property
    def idle(self) -> bool:
        """Whether nothing goes on any more."""
        return self.unusual.idle and self.low.idle and self.high.idle

    def evidence(
        self, stretch: Stretch, index: int, window_start_ms: int
    ) -> tuple[list[int], list[float]]:
        """Return the latest samples of a window that ends with one of a stretch.

        Parameters
        ----------
        stretch
            Samples that follow the kept ones.
        index
            Position, in the columns of the call, of the sample that ends the window.
        window_start_ms
            Instant of the sample that begins it.
        """
        times, values = self.times + stretch.times, self.values + stretch.values
        end = len(self.times) + index - stretch.first + 1
        start = max(bisect_left(times, window_start_ms), end - MAX_EVIDENCE)
        return times[start:end], values[start:end]

    def keep(self, stretch: Stretch) -> None:
        """Keep the latest samples, up to the end of a stretch, that later alerts may show."""
        runs = (self.unusual.run, self.unusual.back, *self.low.runs, *self.high.runs)
        since = min((run.start_ms for run in runs if run.count), default=None)
        if since is None:
            self.times, self.values = [], []
            return
        times = (self.times + stretch.times)[-MAX_EVIDENCE:]
        first = bisect_left(times, since)
        self.times = times[first:]
        self.values = (self.values + stretch.values)[-MAX_EVIDENCE:][first:]

    def pack(self) -> bytes:
        """Return the content as bytes, led by the version of the layout."""
        size = len(self.times)
        return b"".join(
            (
                self.HEADER.pack(VERSION, size),
                self.unusual.pack(),
                self.low.pack(),
                self.high.pack(),
                struct.pack(f"<{size}q{size}d", *self.times, *self.values),
            )
        )

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Read packed bytes.

        Raises
        ------
        DecodeError
            If they are not of this version, or damaged.
        """
        try:
            version, size = cls.HEADER.unpack_from(data)
            if version != VERSION:
                raise DecodeError(f"detection state of version {version}; {VERSION} is known")
            low = cls.HEADER.size + UnusualState.LAYOUT.size
            high = low + SideState.SIZE
            samples = struct.unpack(f"<{size}q{size}d", data[high + SideState.SIZE :])
            return cls(
                UnusualState.unpack_from(data, cls.HEADER.size),
                SideState.unpack_from(data, low),
                SideState.unpack_from(data, high),
                list(samples[:size]),
                list(samples[size:]),
            )
        except (struct.error, ValueError) as error:
            raise DecodeError(f"detection state is damaged: {error}") from error
