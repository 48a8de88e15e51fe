"""The latest values, recent means and open alerts of all people: what the overview shows."""

import heapq
from array import array
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final

from app.live.records import Alert, Record, Samples, Windows

SPARK_MINUTES: Final = 30
_MINUTE_MS: Final = 60_000
_RANK: Final = {"critical": 3, "warning": 2, "info": 1}
OPEN_PER_PERSON_MAX: Final = 100
"""Most open alerts kept of one person; the least urgent and oldest go first."""


class Metric:
    """One metric of one person.

    Attributes
    ----------
    time, value
        The newest sample: epoch milliseconds, canonical unit.
    seq : int
        When it last changed, in the overview's own count.
    """

    __slots__ = ("_means", "_starts", "seq", "time", "value")

    def __init__(self) -> None:
        self.time, self.value, self.seq = 0, 0.0, 0
        self._starts, self._means = array("q"), array("d")

    def add_mean(self, start: int, mean: float) -> None:
        """Take a one-minute mean, or a newer one of the same minute."""
        position = len(self._starts)
        while position and self._starts[position - 1] > start:
            position -= 1
        if position and self._starts[position - 1] == start:
            self._means[position - 1] = mean
            return
        self._starts.insert(position, start)
        self._means.insert(position, mean)
        horizon = self._starts[-1] - SPARK_MINUTES * _MINUTE_MS
        while self._starts[0] <= horizon:
            del self._starts[0], self._means[0]

    def view(self) -> dict[str, Any]:
        """Return time, value, and the minute means from ``s`` on with null where there is none."""
        view: dict[str, Any] = {"t": self.time, "v": self.value}
        if self._starts:
            first = self._starts[0]
            minutes: list[float | None] = [None] * ((self._starts[-1] - first) // _MINUTE_MS + 1)
            for start, mean in zip(self._starts, self._means, strict=True):
                minutes[(start - first) // _MINUTE_MS] = round(mean, 3)
            view |= {"s": first, "m": minutes}
        return view


class Person:
    """One person: metrics by name, open alerts by id, and when they last changed."""

    __slots__ = ("alerts", "alerts_seq", "metrics", "seq")

    def __init__(self) -> None:
        self.metrics: dict[str, Metric] = {}
        self.alerts: dict[str, Alert] = {}
        self.seq = self.alerts_seq = 0

    @property
    def time(self) -> int:
        """Instant of the newest sample, epoch milliseconds; 0 without any."""
        return max((metric.time for metric in self.metrics.values()), default=0)

    @property
    def rank(self) -> tuple[int, int, int]:
        """Sorts the worst first when descending: worst alert, how many, newest sample."""
        worst = max((_RANK.get(a["severity"], 0) for a in self.alerts.values()), default=0)
        return worst, len(self.alerts), self.time


class Overview:
    """Everyone's latest state; merging the same facts again, in any order, changes nothing.

    Parameters
    ----------
    people_max : int
        Most people kept; beyond, those who have not changed for longest are forgotten, people
        with open alerts last of all.
    """

    def __init__(self, people_max: int) -> None:
        self._people_max = people_max
        self._people: OrderedDict[str, Person] = OrderedDict()  # ascending by seq
        self._resolved: OrderedDict[str, int] = OrderedDict()  # alert id → revision, bounded
        self.seq = 0

    def __len__(self) -> int:
        """Return the number of people."""
        return len(self._people)

    def __contains__(self, user: str) -> bool:
        """Whether anything is known of a person."""
        return user in self._people

    def apply(self, record: Record) -> None:
        """Take in one record of a live topic."""
        body = record.body
        if isinstance(body, Samples):
            for user, metric, time, value in body.newest():
                self.add_value(user, metric, time, value)
        elif isinstance(body, Windows):
            for user, metric, start, mean in body.minutes():
                self.add_mean(user, metric, start, mean)
        else:
            self.add_alert(body)

    def add_value(self, user: str, metric: str, time: int, value: float) -> None:
        """Take a sample; an older one than known changes nothing."""
        known = self._metric(user, metric)
        if time >= known.time:
            known.time, known.value = time, value
            self._changed(user, known)

    def add_mean(self, user: str, metric: str, start: int, mean: float) -> None:
        """Take the mean of a one-minute window."""
        known = self._metric(user, metric)
        known.add_mean(start, mean)
        self._changed(user, known)

    def add_alert(self, alert: Alert) -> None:
        """Take a revision of an alert; an older one than known changes nothing."""
        alert_id, revision = alert["alert_id"], alert["revision"]
        person = self._person(alert["user_id"])
        known = person.alerts.get(alert_id)
        if known is not None and known["revision"] > revision:
            return
        if self._resolved.get(alert_id, 0) > revision:
            return
        if alert["status"] == "resolved":
            person.alerts.pop(alert_id, None)
            self._resolved[alert_id] = revision
            self._resolved.move_to_end(alert_id)
            while len(self._resolved) > self._people_max:
                self._resolved.popitem(last=False)
        else:
            person.alerts[alert_id] = alert
            if len(person.alerts) > OPEN_PER_PERSON_MAX:
                del person.alerts[min(person.alerts, key=lambda key: _urgency(person.alerts[key]))]
        self._changed(alert["user_id"], None)
        person.alerts_seq = self.seq

    def worst(self, users: Collection[str] | None, most: int) -> list[str]:
        """Return up to ``most`` people, the worst first; ``users`` limits who is considered."""
        return heapq.nlargest(most, self.visible(users), key=lambda u: self._people[u].rank)

    def visible(self, users: Collection[str] | None) -> Iterable[str]:
        """Return the known people among ``users``, or all for None."""
        if users is None:
            return self._people
        return [user for user in users if user in self._people]

    def changed_since(self, seq: int, users: Collection[str] | None) -> Iterator[str]:
        """Yield the people who changed after ``seq``, the latest first."""
        for user in reversed(self._people):
            if self._people[user].seq <= seq:
                return
            if users is None or user in users:
                yield user

    def view(self, user: str, since: int = 0) -> dict[str, Any]:
        """Return a person's metrics, and the open alerts, as far as they changed after ``since``.

        Raises
        ------
        KeyError
            If nothing is known of the person.
        """
        person = self._people[user]
        changed = {n: metric.view() for n, metric in person.metrics.items() if metric.seq > since}
        view: dict[str, Any] = {"user": user, "metrics": changed}
        if person.alerts_seq > since or not since:
            view["alerts"] = list(person.alerts.values())
        return view

    def open_count(self, users: Collection[str] | None) -> int:
        """Return the number of open alerts."""
        return sum(len(self._people[user].alerts) for user in self.visible(users))

    def alerts(self, users: Collection[str] | None) -> list[Alert]:
        """Return the open alerts, the most urgent first."""
        found = [a for user in self.visible(users) for a in self._people[user].alerts.values()]
        return sorted(found, key=_urgency, reverse=True)

    def _person(self, user: str) -> Person:
        person = self._people.get(user)
        if person is None:
            if len(self._people) >= self._people_max:
                self._forget()
            person = self._people[user] = Person()
        return person

    def _forget(self) -> None:
        oldest = next(iter(self._people))
        gone = next((user for user, p in self._people.items() if not p.alerts), oldest)
        del self._people[gone]

    def _metric(self, user: str, name: str) -> Metric:
        metrics = self._person(user).metrics
        metric = metrics.get(name)
        if metric is None:
            metric = metrics[name] = Metric()
        return metric

    def _changed(self, user: str, metric: Metric | None) -> None:
        self.seq += 1
        if metric is not None:
            metric.seq = self.seq
        self._people[user].seq = self.seq
        self._people.move_to_end(user)


def _urgency(alert: Alert) -> tuple[int, int]:
    return _RANK.get(alert["severity"], 0), alert["opened_ms"]
