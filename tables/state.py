"""Everything that a worker knows of people and their series: arrays with one row each.

A person, and a series (a person's metric), has a slot; the arrays below are indexed by it. Slots
are given when somebody is seen first and taken back when their partition goes to another worker.
Nothing here applies a rule: :mod:`tables.apply` reads rows, computes, and writes rows back.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from schemas.columns import Int64, Uuids
from tables.days import Calendar
from tables.detection import ROW, Active
from tables.layout import DEVICES_MAX, EMPTY_SERIES, SERIES, devices_of, ranks_of, stamps
from tables.pool import BYTES_MAX, SamplePool
from tables.ranges import changes, counted
from tables.recut import recut

UPLOADS_KEPT: Final = 32
"""How many of a person's latest uploads keep the instant of their first receipt."""
SERIES_BYTES_MAX: Final = SERIES.itemsize + ROW.itemsize + BYTES_MAX + 4 + 2
"""Most bytes that a series without an open alert takes in memory."""
_FIRST: Final = 1024


class State:
    """People, their series and what is kept of them.

    Parameters
    ----------
    metrics : int
        Number of metrics in the catalogue.

    Attributes
    ----------
    user_ids, calendars, devices : list
        By person: the id, the days by which windows are cut, the device ids by code.
    partition : (people,) int32
        The source partition that a person belongs to; -1 for a slot that is free.
    dirty : (people,) bool
        Whether a person has changed since the state was last written down.
    series_user, series_metric : (series,) int32, int16
        Whose series it is, and the metric's code.
    series : (series,) SERIES
        Fixed part of the series.
    detection : (series,) ROW
        Fixed part of what the detectors keep.
    active : dict of int to Active
        By series, where an alert is open or about to be.
    pool : SamplePool
        Recent samples.
    """

    def __init__(self, metrics: int) -> None:
        self._metrics = metrics
        self._users: dict[str, int] = {}
        self._free_users: list[int] = []
        self._free_series: list[int] = []
        self._series_count = 0
        self.user_ids: list[str] = []
        self.calendars: list[Calendar] = []
        self.devices: list[tuple[str, ...]] = []
        self.partition = np.full(_FIRST, -1, np.int32)
        self.dirty = np.zeros(_FIRST, np.bool_)
        self._uploads = np.zeros((_FIRST, UPLOADS_KEPT), np.uint64)
        self._upload_ranks = np.zeros((_FIRST, UPLOADS_KEPT), np.int64)
        self._upload_next = np.zeros(_FIRST, np.int64)
        self._series_of = np.full((_FIRST, metrics), -1, np.int32)
        self.series_user = np.zeros(_FIRST, np.int32)
        self.series_metric = np.zeros(_FIRST, np.int16)
        self.series = np.full(_FIRST, EMPTY_SERIES, SERIES)
        self.detection = np.zeros(_FIRST, ROW)
        self.active: dict[int, Active] = {}
        self.pool = SamplePool(_FIRST)

    def __len__(self) -> int:
        """Return the number of people."""
        return len(self._users)

    @property
    def series_count(self) -> int:
        """Number of series."""
        return self._series_count - len(self._free_series)

    # People

    def find(self, user_id: str) -> int | None:
        """Return a person's slot, or None."""
        return self._users.get(user_id)

    def users(
        self, user_ids: Sequence[str], partition: int, newcomer: Callable[[str], Calendar]
    ) -> list[int]:
        """Return people's slots; new ones, with the calendar that ``newcomer`` gives."""
        known = self._users.get
        slots = [known(user_id, -1) for user_id in user_ids]
        for at, slot in enumerate(slots):
            if slot < 0:
                user_id = user_ids[at]
                found = known(user_id)
                if found is None:
                    found = self.add_user(user_id, partition, newcomer(user_id))
                slots[at] = found
        return slots

    def add_user(self, user_id: str, partition: int, calendar: Calendar) -> int:
        """Give a slot to somebody new and return it."""
        if self._free_users:
            slot = self._free_users.pop()
            self.user_ids[slot], self.calendars[slot], self.devices[slot] = user_id, calendar, ()
        else:
            slot = len(self.user_ids)
            self.user_ids.append(user_id)
            self.calendars.append(calendar)
            self.devices.append(())
            if slot == len(self.partition):
                self._grow_users(slot + slot // 4)
        self._users[user_id] = slot
        self.partition[slot] = partition
        return slot

    def _grow_users(self, size: int) -> None:
        self.partition = _grown(self.partition, size, -1)
        self.dirty = _grown(self.dirty, size, 0)
        self._uploads = _grown(self._uploads, size, 0)
        self._upload_ranks = _grown(self._upload_ranks, size, 0)
        self._upload_next = _grown(self._upload_next, size, 0)
        self._series_of = _grown(self._series_of, size, -1)

    def device(self, user: int, device_id: str) -> int:
        """Return the code of a person's device, giving it one when it is new."""
        known = self.devices[user]
        if known and known[0] == device_id:
            return 0
        if device_id in known:
            return known.index(device_id)
        if len(known) == DEVICES_MAX:
            self._forget_unused_devices(user)
        self.devices[user] = (*self.devices[user], device_id)
        return len(self.devices[user]) - 1

    def _forget_unused_devices(self, user: int) -> None:
        """Give the codes anew, to those devices only that kept samples name."""
        slots = self.series_of_user(user)
        kept = [self.pool.read(np.array([slot]))[2] for slot in slots]
        used = np.unique(np.concatenate([devices_of(stamp) for stamp in kept]))
        # Were all in use, the eldest would share a code with the newest: a bound has its price.
        used = used[-(DEVICES_MAX - 1) :]
        code = np.zeros(DEVICES_MAX, np.int64)
        code[used] = np.arange(len(used))
        for slot, stamp in zip(slots, kept, strict=True):
            self.pool.restamp(slot, stamps(ranks_of(stamp), code[devices_of(stamp)]))
        self.devices[user] = tuple(self.devices[user][old] for old in used)

    def series_of_user(self, user: int) -> list[int]:
        """Return the slots of a person's series, by metric code."""
        row = self._series_of[user]
        return [int(slot) for slot in row[row >= 0]]

    def set_calendar(self, user_id: str, calendar: Calendar) -> None:
        """Change the days of a person, when they are known: see :func:`tables.recut.recut`."""
        user = self._users.get(user_id)
        if user is None:
            return
        known, self.calendars[user] = self.calendars[user], calendar
        if known == calendar:
            return
        slots = np.array(self.series_of_user(user), np.int64)
        rows = self.series.take(slots)
        recut(rows, calendar)
        self.series[slots] = rows
        self.dirty[user] = True

    def series_of_users(self, users: Sequence[int]) -> tuple[Int64, Int64]:
        """Return how many series people have, and their slots, by person and metric code."""
        slots = self._series_of[users]
        have = slots >= 0
        return have.sum(axis=1), slots[have].astype(np.int64)

    # Uploads

    def first_ranks(self, users: Int64, upload_ids: Uuids, ranks: Int64) -> Int64:
        """Return the ranks that uploads count with: of one that came before, its first.

        Parameters
        ----------
        users : (n,) int64
            Whose.
        upload_ids : (n,) V16
            Their ids.
        ranks : (n,) int64
            When this copy of each was received, ms since 2020.
        """
        keys = upload_keys(upload_ids)
        same = self._uploads[users] == keys[:, None]
        again = same.any(axis=1)
        if again.any():
            known = self._upload_ranks[users[again], same[again].argmax(axis=1)]
            ranks = ranks.copy()
            ranks[again] = np.minimum(ranks[again], known)
        order = np.lexsort((keys, users))
        begins = changes(users[order], keys[order])
        if begins.all():
            return ranks
        least = np.minimum.reduceat(ranks[order], begins.nonzero()[0])
        first: Int64 = np.empty_like(ranks)
        first[order] = least[begins.cumsum() - 1]
        return first

    def note_uploads(self, users: Int64, upload_ids: Uuids, ranks: Int64) -> None:
        """Keep the ranks that uploads counted with."""
        keys = upload_keys(upload_ids)
        same = self._uploads[users] == keys[:, None]
        known = same.any(axis=1)
        self._upload_ranks[users[known], same[known].argmax(axis=1)] = ranks[known]
        fresh = np.flatnonzero(~known)
        order = fresh[np.argsort(users[fresh], kind="stable")]
        if not len(order):
            return
        whose = users[order]
        begins = changes(whose).nonzero()[0]
        lengths = np.diff(np.append(begins, len(whose)))
        place = (self._upload_next[whose] + counted(lengths)) % UPLOADS_KEPT
        self._uploads[whose, place] = keys[order]
        self._upload_ranks[whose, place] = ranks[order]
        self._upload_next[whose[begins]] += lengths

    def uploads_of(self, users: Sequence[int]) -> tuple[list[NDArray[np.uint64]], list[Int64]]:
        """Return keys and ranks of people's latest uploads, oldest first: an array a person."""
        count = self._upload_next[users]
        known = np.minimum(count, UPLOADS_KEPT)
        order = ((count - known)[:, None] + np.arange(UPLOADS_KEPT)) % UPLOADS_KEPT
        keys = np.take_along_axis(self._uploads[users], order, axis=1)
        ranks = np.take_along_axis(self._upload_ranks[users], order, axis=1)
        sizes = known.tolist()
        return (
            [row[:size] for row, size in zip(keys, sizes, strict=True)],
            [row[:size] for row, size in zip(ranks, sizes, strict=True)],
        )

    def set_uploads(self, user: int, keys: NDArray[np.uint64], ranks: Int64) -> None:
        """Set what :meth:`uploads_of` returns."""
        self._uploads[user] = 0
        self._uploads[user, : len(keys)] = keys
        self._upload_ranks[user, : len(keys)] = ranks
        self._upload_next[user] = len(keys)

    # Series

    def series_slots(self, users: Int64, metrics: Int64) -> Int64:
        """Return the slots of people's series, giving them where they are new: (n,) int64."""
        slots = self._series_of[users, metrics].astype(np.int64)
        new = np.flatnonzero(slots < 0)
        if len(new):
            for at in new.tolist():
                user, metric = int(users[at]), int(metrics[at])
                slot = int(self._series_of[user, metric])
                slots[at] = self.add_series(user, metric) if slot < 0 else slot
        return slots

    def add_series(self, user: int, metric: int) -> int:
        """Give a slot to a new, empty series and return it."""
        if self._free_series:
            slot = self._free_series.pop()
        else:
            slot = self._series_count
            self._series_count += 1
            if slot == len(self.series):
                self._grow_series(slot + slot // 4)
        self.series_user[slot] = user
        self.series_metric[slot] = metric
        self.series[slot] = EMPTY_SERIES
        self.detection[slot] = np.zeros((), ROW)
        self._series_of[user, metric] = slot
        return slot

    def _grow_series(self, size: int) -> None:
        self.series_user = _grown(self.series_user, size, 0)
        self.series_metric = _grown(self.series_metric, size, 0)
        self.series = _grown(self.series, size, EMPTY_SERIES)
        self.detection = _grown(self.detection, size, np.zeros((), ROW))
        self.pool.grow(size)

    # Partitions

    def drop_partitions(self, partitions: Iterable[int]) -> None:
        """Forget the people of partitions that another worker has now."""
        gone = np.flatnonzero(np.isin(self.partition, list(partitions)))
        for user in gone.tolist():
            self.drop_user(user)

    def drop_user(self, user: int) -> None:
        """Forget a person."""
        slots = self.series_of_user(user)
        self.pool.clear(np.array(slots, np.int64))
        for slot in slots:
            self.active.pop(slot, None)
        self._free_series.extend(slots)
        self._series_of[user] = -1
        self._uploads[user] = 0
        self._upload_next[user] = 0
        self.partition[user] = -1
        self.dirty[user] = False
        del self._users[self.user_ids[user]]
        self._free_users.append(user)


def upload_keys(upload_ids: Uuids) -> NDArray[np.uint64]:
    """Return 64 bits of each UUID, mixed from all of it: (n,) uint64."""
    halves = np.ascontiguousarray(upload_ids).view(np.uint64).reshape(-1, 2)
    keys: NDArray[np.uint64] = halves[:, 1] + halves[:, 0] * np.uint64(0x9E3779B97F4A7C15)
    return keys | np.uint64(1)  # 0 stands for an empty place


def _grown(column: NDArray[Any], size: int, fill: Any) -> NDArray[Any]:  # noqa: ANN401 - any dtype
    grown = np.empty((size, *column.shape[1:]), column.dtype)
    grown[: len(column)] = column
    grown[len(column) :] = fill
    return grown
