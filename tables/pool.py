"""The recent samples of all series: pages of one pool, so that memory follows what is kept.

A series owns at most ``PAGES`` pages of ``PAGE`` samples. Its samples are ordered by instant and
device; they lie from ``head`` to ``tail`` of the pages that its row of the page table names. All
operations work on many series at once.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from schemas.columns import Float64, Int64
from tables.ranges import spans

PAGE: Final = 16
PAGES: Final = 9
SAMPLES_MAX: Final = PAGE * (PAGES - 1)
"""Most samples that a series keeps; one page more than they fill, as the first may be cut."""
SPAN_MAX_MS: Final = 2**32 - 1
"""Most milliseconds between the first sample that was put into an empty series and the last."""
BYTES_MAX: Final = PAGES * PAGE * (4 + 8 + 8) + PAGES * 4 + 4 + 4 + 8
"""Most bytes that a series takes here."""


class SamplePool:
    """Samples as (offset in time, value, stamp) by series slot.

    A stamp is what ranks a sample and names its device, see :func:`tables.state.stamp`; here it
    is an integer that is kept with the sample.
    """

    def __init__(self, series: int = 1024, pages: int = 1024) -> None:
        self._offset = np.empty(pages * PAGE, np.uint32)
        self._value = np.empty(pages * PAGE, np.float64)
        self._stamp = np.empty(pages * PAGE, np.int64)
        self._free = np.arange(pages - 1, -1, -1, dtype=np.int32)
        self._free_count = pages
        self._pages = np.zeros((series, PAGES), np.int32)
        self._base = np.zeros(series, np.int64)
        self.head = np.zeros(series, np.int32)
        self.tail = np.zeros(series, np.int32)

    @property
    def pages_used(self) -> int:
        """Pages that hold samples."""
        return len(self._free) - self._free_count

    def grow(self, series: int) -> None:
        """Make room for more series slots."""
        more = series - len(self._base)
        self._pages = np.concatenate((self._pages, np.zeros((more, PAGES), np.int32)))
        self._base = np.concatenate((self._base, np.zeros(more, np.int64)))
        self.head = np.concatenate((self.head, np.zeros(more, np.int32)))
        self.tail = np.concatenate((self.tail, np.zeros(more, np.int32)))

    def kept(self, slots: Int64) -> Int64:
        """Return how many samples each series keeps: (n,) int64."""
        return (self.tail[slots] - self.head[slots]).astype(np.int64)

    def spans_too_long(
        self, slots: Int64, newest: Int64
    ) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Return which series cannot take a sample at ``newest`` behind those that they keep."""
        long: np.ndarray[tuple[int], np.dtype[np.bool_]] = (self.tail[slots] > self.head[slots]) & (
            newest - self._base[slots] > SPAN_MAX_MS
        )
        return long

    def read(self, slots: Int64, lengths: Int64 | None = None) -> tuple[Int64, Float64, Int64]:
        """Return times, values and stamps of the oldest samples of series, one after the other.

        Parameters
        ----------
        slots : (n,) int64
            The series.
        lengths : (n,) int64, optional
            How many of each; all by default.
        """
        lengths = self.kept(slots) if lengths is None else lengths
        at = self._places(slots, self.head[slots].astype(np.int64), lengths)
        times = self._offset.take(at).astype(np.int64)
        times += np.repeat(self._base[slots], lengths)
        return times, self._value.take(at), self._stamp.take(at)

    def append(
        self, slots: Int64, lengths: Int64, times: Int64, values: Float64, stamps: Int64
    ) -> None:
        """Put samples behind those that are kept; the caller has seen to it that they fit.

        Parameters
        ----------
        slots : (n,) int64
            Distinct series.
        lengths : (n,) int64
            How many samples of each follow.
        times, values, stamps : (m,)
            The samples, one series after the other.
        """
        some = lengths > 0
        slots, lengths = slots[some], lengths[some]
        if not len(slots):
            return
        firsts = np.cumsum(lengths) - lengths
        empty = self.tail[slots] == 0
        self._base[slots[empty]] = times[firsts[empty]]
        tail = self.tail[slots].astype(np.int64)
        have, need = (tail + PAGE - 1) // PAGE, (tail + lengths + PAGE - 1) // PAGE
        fresh = need - have
        self._pages.reshape(-1)[spans(slots * PAGES + have, fresh)] = self._allocate(
            int(fresh.sum())
        )
        at = self._places(slots, tail, lengths)
        self._offset[at] = times - np.repeat(self._base[slots], lengths)
        self._value[at] = values
        self._stamp[at] = stamps
        self.tail[slots] = tail + lengths

    def drop(self, slots: Int64, counts: Int64) -> None:
        """Forget the ``counts`` oldest samples of distinct series."""
        head = self.head[slots] + counts
        emptied = head >= self.tail[slots]
        self.clear(slots[emptied])
        slots, head = slots[~emptied], head[~emptied]
        whole = head // PAGE
        some = whole > 0
        moved, by = slots[some], whole[some].astype(np.int64)
        self._release(self._pages.reshape(-1).take(spans(moved * PAGES, by)))
        columns = np.minimum(np.arange(PAGES) + by[:, None], PAGES - 1)
        self._pages[moved] = np.take_along_axis(self._pages[moved], columns, axis=1)
        self.tail[moved] -= (by * PAGE).astype(np.int32)
        self.head[slots] = head % PAGE

    def clear(self, slots: Int64) -> None:
        """Forget all samples of distinct series."""
        used = (self.tail[slots].astype(np.int64) + PAGE - 1) // PAGE
        self._release(self._pages.reshape(-1).take(spans(slots * PAGES, used)))
        self.head[slots] = 0
        self.tail[slots] = 0

    def restamp(self, slot: int, stamps: Int64) -> None:
        """Replace the stamps of one series' samples, in their order."""
        one = np.array([slot])
        self._stamp[self._places(one, self.head[one].astype(np.int64), self.kept(one))] = stamps

    def _places(self, slots: Int64, firsts: Int64, lengths: Int64) -> Int64:
        """Return where in the columns samples lie: ``lengths`` of each series from ``firsts``."""
        page = firsts // PAGE
        pages = np.where(lengths > 0, (firsts + lengths + PAGE - 1) // PAGE - page, 0)
        # Runs within a page: all whole, but for the first and the last of each series.
        used = self._pages.reshape(-1).take(spans(slots * PAGES + page, pages))
        run_first = used.astype(np.int64) * PAGE
        run_length = np.full(len(run_first), PAGE)
        some = pages > 0
        last = np.cumsum(pages[some]) - 1
        first = last - pages[some] + 1
        skipped = firsts[some] - page[some] * PAGE
        run_length[last] = (firsts[some] + lengths[some] - 1) % PAGE + 1
        run_first[first] += skipped
        run_length[first] -= skipped
        return spans(run_first, run_length)

    def _allocate(self, count: int) -> NDArray[np.int32]:
        if count > self._free_count:
            self._extend(count)
        self._free_count -= count
        return self._free[self._free_count : self._free_count + count]

    def _extend(self, count: int) -> None:
        have = len(self._free)
        more = max(count, have // 8)
        for name in ("_offset", "_value", "_stamp"):
            old = getattr(self, name)
            grown = np.empty((have + more) * PAGE, old.dtype)
            grown[: len(old)] = old
            setattr(self, name, grown)
        free = np.empty(have + more, np.int32)
        free[: self._free_count] = self._free[: self._free_count]
        free[self._free_count : self._free_count + more] = np.arange(have, have + more)
        self._free = free
        self._free_count += more

    def _release(self, pages: NDArray[np.int32]) -> None:
        self._free[self._free_count : self._free_count + len(pages)] = pages
        self._free_count += len(pages)
