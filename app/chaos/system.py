"""The system under test: every process under the product's own supervisor, links between them."""

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from app.chaos import broker as listeners
from app.chaos.disk import SmallDisk
from app.chaos.proxy import Link, Switchboard
from app.chaos.slots import Slot, Tell
from app.embedded.kafka import kafka_of
from app.embedded.ports import ensure_port_free
from app.errors import PortInUseError, ServerFailedError
from app.settings import Settings
from app.supervisor.child import Program
from app.supervisor.system import System

WORKERS_MOST: Final = 4
_TICK_SECONDS: Final = 0.1


class EmbeddedSystem:
    """A whole system on this machine, with a link between any two processes that talk.

    ::

        devices ─ link ─ gateway ─ link ─ broker ─ links ─ workers
                            └ link ─ ClickHouse ─ link ─ sink ─ link ─ broker

    Parameters
    ----------
    directory : Path
        Its data directory; nobody else's.
    partitions : int
        Of every topic.
    workers : int
        How many run at first.

    Attributes
    ----------
    settings : Settings
        Of this system, for clients that go around the links.
    links : dict of str to Link
        By the names of both ends: ``client-gateway``, ``worker-1-broker`` …
    slots : dict of str to Slot
        By the names of the processes.
    disk : SmallDisk, optional
        Under ClickHouse; None where users cannot mount one.
    """

    def __init__(self, directory: Path, *, partitions: int, workers: int) -> None:
        self.settings = Settings(
            data_dir=directory, port_offset=_free_offset(), partitions=partitions,
            kafka_bootstrap=None, kafka_replication=1, clickhouse_url=None, topic_prefix="",
        )  # fmt: skip
        self.tell = Tell()
        self.links: dict[str, Link] = {}
        self.slots: dict[str, Slot] = {}
        self.disk: SmallDisk | None = None
        self._first_workers = workers
        self._board = Switchboard()
        self._stopped = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="supervisors", daemon=True)

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    @property
    def gateway(self) -> str:
        """Base URL of the gateway through its link."""
        return f"http://127.0.0.1:{self.links['client-gateway'].port}"

    def workers(self) -> list[str]:
        """Return the names of the workers that are meant to run."""
        return [name for name, slot in self.slots.items() if "worker" in name and slot.wanted]

    def workers_away(self) -> list[str]:
        """Return the names of the workers that could join."""
        return [name for name, slot in self.slots.items() if "worker" in name and not slot.wanted]

    def not_ready(self) -> list[str]:
        """Return the names of the processes that are meant to run and do not serve yet."""
        wanted = [(name, slot) for name, slot in self.slots.items() if slot.wanted]
        return [name for name, slot in wanted if slot.pid is None or not slot.program.ready()]

    def stop_processes(self, *names: str) -> None:
        """Stop processes, all at once; those that do not run are passed over."""
        running = [self.slots[name] for name in names if self.slots[name].wanted]
        stopping = [threading.Thread(target=slot.stop) for slot in running]
        for thread in stopping:
            thread.start()
        for thread in stopping:
            thread.join()

    def run_undisturbed(self, name: str, prefix: str) -> Slot:
        """Start another worker on topics of another prefix, without links.

        The other processes' ports and groups are not touched.
        """
        program = System(self.settings, WORKERS_MOST + 1).all_workers()[-1]
        slot = self._slot(
            replace(program, name=name, log=self._log(name)),
            VITALSTREAM_KAFKA_BOOTSTRAP=self.settings.bootstrap,
            VITALSTREAM_TOPIC_PREFIX=prefix,
        )
        slot.start()
        slot.wait_ready()
        return slot

    def _start(self) -> None:
        from app.clickhouse.migrate import migrate  # noqa: PLC0415  (slow to import)
        from app.kafka.admin import create_topics  # noqa: PLC0415

        for name in ("run", "log"):
            (self.settings.data_dir / name).mkdir(parents=True, exist_ok=True)
        disk = SmallDisk(self.settings.data_dir / "clickhouse")
        self.disk = disk if disk.mount() else None
        self._make_slots()
        self._ticker.start()
        for name in ("kafka", "clickhouse"):
            self.slots[name].start()
        for name in ("kafka", "clickhouse"):
            self.slots[name].wait_ready()
        create_topics(self.settings)
        migrate(self.settings)
        names = [
            "sink",
            "gateway",
            *[n for n in self.slots if "worker" in n][: self._first_workers],
        ]
        for name in names:
            self.slots[name].start()
        for name in names:
            self.slots[name].wait_ready()

    def _make_slots(self) -> None:
        settings, offset = self.settings, self.settings.port_offset
        system = System(settings, WORKERS_MOST)
        workers = {program.name: program for program in system.all_workers()}
        broker = kafka_of(settings)
        programs = {"gateway": system.gateway(), "sink": system.sink(), **workers}
        inward = {name: listeners.listener(self._board, name) for name in programs}
        for name, one in inward.items():
            self.links[f"{name}-broker"] = one.link
        for name in ("gateway", "sink"):
            self.links[f"{name}-clickhouse"] = self._board.link(settings.clickhouse_port + offset)
        self.links["client-gateway"] = self._board.link(settings.port + offset)
        kafka = replace(
            system.kafka(broker),
            command=lambda: listeners.prepare(broker, settings.bootstrap, [*inward.values()]),
        )
        self.slots["kafka"] = self._slot(kafka)
        self.slots["clickhouse"] = self._slot(self._on_its_disk(system.clickhouse()))
        for name, program in programs.items():
            env = {"VITALSTREAM_KAFKA_BOOTSTRAP": inward[name].bootstrap}
            if name in ("gateway", "sink"):
                port = self.links[f"{name}-clickhouse"].port
                env["VITALSTREAM_CLICKHOUSE_URL"] = f"http://127.0.0.1:{port}"
            self.slots[name] = self._slot(program, **env)

    def _on_its_disk(self, program: Program) -> Program:
        disk = self.disk
        if disk is None:
            return program
        return replace(program, command=lambda: disk.inside(program.command()))

    def _slot(self, program: Program, **env: str) -> Slot:
        known = {
            "VITALSTREAM_DATA_DIR": str(self.settings.data_dir),
            "VITALSTREAM_PORT_OFFSET": str(self.settings.port_offset),
            "VITALSTREAM_PARTITIONS": str(self.settings.partitions),
            "VITALSTREAM_TOPIC_PREFIX": "",
        }
        own = replace(program, env={**program.env, **known, **env})
        return Slot(own, self.settings.data_dir / "run", self.tell)

    def _log(self, name: str) -> Path:
        return self.settings.data_dir / "log" / f"{name}.log"

    def _tick(self) -> None:
        while not self._stopped.wait(_TICK_SECONDS):
            for slot in list(self.slots.values()):
                slot.tick()

    def _stop(self) -> None:
        self._stopped.set()
        if self._ticker.is_alive():
            self._ticker.join(20)
        servers = ("clickhouse", "kafka")  # last: the others may still need them
        self.stop_processes(*(name for name in self.slots if name not in servers))
        self.stop_processes(*(name for name in servers if name in self.slots))
        if self.disk is not None:
            self.disk.save()
            self.disk.close()
        self._board.close()


def _free_offset() -> int:
    settings = Settings()
    ports = [settings.port, settings.clickhouse_port, settings.kafka_port]
    ports += [settings.metrics_port + n for n in range(WORKERS_MOST + 2)]
    for offset in _offsets():
        try:
            for port in ports:
                ensure_port_free("127.0.0.1", port + offset, what="A process", setting="")
        except PortInUseError:
            continue
        return offset
    raise ServerFailedError("there are no free ports for a system of its own")


def _offsets() -> Iterator[int]:
    start = 11_000 + os.getpid() % 200 * 101  # runs side by side try different ones
    yield from range(start, 50_000, 97)
