"""A whole run: load and faults, then quiet, then the comparison."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import orjson

from app.chaos.compare import compare_all
from app.chaos.devices import Fleet
from app.chaos.journal import Journal
from app.chaos.people import people, probes
from app.chaos.plan import KINDS, Episode, Fault, episodes
from app.chaos.quiet import wait_until_quiet
from app.chaos.recovery import LIMIT_SECONDS, Probes
from app.chaos.report import Report
from app.chaos.stored import Stored
from app.chaos.targets import Target
from app.errors import ConfigurationError, VitalstreamError

_EPISODES_A_MINUTE: Final = 30  # more than there can be
_MISSES: Final = 3  # episodes without recovery after which the run ends early
_FINISH_SECONDS: Final = 180.0
_QUIET_SECONDS: Final = 240.0
_DAY_MS: Final = 86_400_000
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is asked for.

    Attributes
    ----------
    seed
        All choices follow from it.
    minutes
        How long load and faults last.
    people, rate
        How many people take part, and uploads a second of all of them together.
    directory
        A new directory for everything that the run keeps.
    kinds
        The kinds of fault that are wanted.
    """

    seed: int
    minutes: float
    people: int
    rate: float
    directory: Path
    kinds: frozenset[str]


def run(options: Options, target: Target, say: Say) -> Report:
    """Run, compare, and save plan, events, journal and report.

    Parameters
    ----------
    options : Options
        What is asked for.
    target : Target
        The system, running.
    say : callable
        Told what happens, a line each time.
    """
    with Journal(options.directory / "journal.jsonl") as journal:
        report = Report(options.seed)
        stage = _Stage(options, target, journal, report, say)
        asyncio.run(stage.perform())
        _compare(target, journal, report, say)
    report.exits = target.exits()
    report.save(options.directory / "report.json")
    return report


class _Stage:
    """Load and faults of one run."""

    def __init__(
        self, options: Options, target: Target, journal: Journal, report: Report, say: Say
    ) -> None:
        self._options, self._target, self._journal = options, target, journal
        self._report, self._say = report, say
        self._fleet = Fleet(target.gateway, target.token, journal)
        self._injector = target.injector(self._fleet)
        self._events = options.directory / "events.jsonl"
        self._started = 0.0

    async def perform(self) -> None:
        """Send and disturb for the time that was asked for; then let everything be delivered."""
        await self._fleet.open()
        try:
            await self._perform()
        finally:
            await self._fleet.close()

    async def _perform(self) -> None:
        options = self._options
        self._enlist()
        await self._target.set_zones(people(options.seed, options.people))
        recovery = self._recovery()
        await self._measure(recovery, "none")
        stopping = asyncio.Event()
        self._started = time.monotonic()
        load = [asyncio.create_task(actor.run(stopping)) for actor in self._fleet.actors]
        try:
            await self._disturb(recovery)
            stopping.set()
            self._report.seconds = time.monotonic() - self._started
            self._say("no more faults; everything that is under way is delivered")
            _, late = await asyncio.wait(load, timeout=_FINISH_SECONDS)
            if late:
                self._report.findings.differ(
                    "uploads never acknowledged", f"by {len(late)} devices"
                )
        finally:
            for task in load:
                task.cancel()
            await asyncio.gather(*load, return_exceptions=True)
        self._report.describe_load(self._journal, self._fleet.failures)

    def _enlist(self) -> None:
        options = self._options
        devices = [d for person in people(options.seed, options.people) for d in person.devices]
        every = len(devices) / options.rate
        uploads = int(options.minutes * 60 / every * 1.5) + 10
        end_ms = time.time_ns() // 1_000_000
        for device in devices:
            start_ms = end_ms - _DAY_MS - uploads * device.span_ms
            self._fleet.enlist(options.seed, device, span_ms=(start_ms, end_ms), every=every)

    def _recovery(self) -> Probes:
        seed, partitions = self._options.seed, self._target.settings.partitions
        return Probes(
            [(device, self._fleet.courier(device)) for device in probes(seed, partitions)],
            self._target.reader,
            seed=seed,
            start_ms=time.time_ns() // 1_000_000 - 30 * _DAY_MS,
            not_ready=self._target.not_ready,
        )

    async def _disturb(self, recovery: Probes) -> None:
        wanted = [name for name in self._target.kinds() if name in self._options.kinds]
        if not wanted:
            raise ConfigurationError("none of the kinds of fault that are wanted is possible here")
        plan = episodes(self._options.seed, wanted)
        kept = list(islice(plan, int(self._options.minutes * _EPISODES_A_MINUTE) + 1))
        path = self._options.directory / "plan.json"
        path.write_bytes(orjson.dumps([asdict(e) for e in kept], option=orjson.OPT_INDENT_2))
        if left_out := sorted(KINDS.keys() - wanted):
            self._report.notes.append(f"left out: {', '.join(left_out)}")
        misses = 0
        for episode in kept:
            if self._elapsed() >= self._options.minutes * 60 or misses == _MISSES:
                return
            await asyncio.sleep(episode.calm)
            await asyncio.gather(*(self._fault(episode, fault) for fault in episode.faults))
            self._report.episodes += 1
            if not await self._measure(recovery, episode.name):
                misses += 1

    async def _fault(self, episode: Episode, fault: Fault) -> None:
        await asyncio.sleep(fault.after)
        began = self._elapsed()
        done = await self._injector.inject(fault)
        self._report.faults[fault.kind] += 1
        self._note(
            f"{fault.kind}: {done}",
            episode=episode.number, kind=fault.kind, began=round(began, 2),
        )  # fmt: skip

    async def _measure(self, recovery: Probes, name: str) -> bool:
        seconds = await recovery.recovered()
        if seconds is None:
            away = await asyncio.to_thread(self._target.not_ready)
            self._report.findings.differ(
                "recovery", f"not within {LIMIT_SECONDS:.0f} s of {name}; not ready: {away}"
            )
            self._note(f"did not recover from {name}; not ready: {away}")
            return False
        self._report.recovery.setdefault(name, []).append(seconds)
        self._note(f"recovered in {seconds:.1f} s", recovered=round(seconds, 2), name=name)
        return True

    def _elapsed(self) -> float:
        return time.monotonic() - self._started if self._started else 0.0

    def _note(self, what: str, **facts: str | float) -> None:
        at = self._elapsed()
        self._say(f"{at:7.1f} s  {what}")
        with self._events.open("ab") as file:
            file.write(orjson.dumps({"at": round(at, 2), "what": what} | facts) + b"\n")


def _compare(target: Target, journal: Journal, report: Report, say: Say) -> None:
    say("waiting until nothing is under way")
    stored = Stored(target.reader)
    trouble = wait_until_quiet(stored, journal, _QUIET_SECONDS, target.lag_settings)
    if trouble is not None:
        report.findings.differ("quiet", trouble)
    say("comparing what was acknowledged with what is stored")
    try:
        compare_all(journal, stored, target.zones, report.findings, whole=not target.client_only)
        report.notes += target.compare_more(journal, stored, report.findings, say)
    except VitalstreamError as error:  # what cannot be read cannot be the same
        report.findings.differ("comparison", f"{type(error).__name__}: {error}")
