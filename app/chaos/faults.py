"""Doing the faults of the plan to the embedded system."""

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import Awaitable, Callable
from typing import Final

from app.chaos.devices import Fleet
from app.chaos.plan import FULL_DISK, Fault
from app.chaos.poison import Poisoner
from app.chaos.proxy import Link
from app.chaos.system import EmbeddedSystem
from app.errors import KafkaUnavailableError

_INSERT_SECONDS: Final = 10.0  # how long is waited for an insert to interrupt
_PROCESSES: Final = {"broker": "kafka"}
_NEARLY_BYTES: Final = 3 << 20  # enough for one small insert, and for no merge
_SLOWLY_BYTES: Final = 96 << 20
_WAVER_BYTES: Final = 2 << 20
_BLOCK_BYTES: Final = 1 << 20
_FILL_SECONDS: Final = 0.02
_REBALANCE_SECONDS: Final = (2.0, 5.0)
_POISON_ATTEMPTS: Final = 5


class Injector:
    """Injects faults; each call ends when the fault is over.

    Parameters
    ----------
    fleet : Fleet
        The devices.
    link : Link
        Between the devices and the gateway.
    """

    def __init__(self, fleet: Fleet, link: Link) -> None:
        self._fleet, self._link = fleet, link

    async def inject(self, fault: Fault) -> str:
        """Do one fault and undo it; return what was done to whom."""
        return await self._known()[fault.kind](fault)

    def _known(self) -> dict[str, Callable[[Fault], Awaitable[str]]]:
        return {"clock-jump": self._jump, "cut-client-gateway": self._cut_clients}

    async def _cut_clients(self, fault: Fault) -> str:
        return await cut(self._link, fault)

    async def _jump(self, fault: Fault) -> str:
        chance = random.Random(fault.pick)  # noqa: S311  (must be repeatable, guards nothing)
        actors = self._fleet.actors
        chosen = chance.sample(actors, max(1, len(actors) // 4))
        by = [actor.script.jump(chance.random()) for actor in chosen]
        return f"{len(chosen)} devices by {min(by) / 1000:+,.0f} to {max(by) / 1000:+,.0f} s"


class SystemInjector(Injector):
    """Injects every kind of fault into a system that runs here.

    Parameters
    ----------
    fleet : Fleet
        The devices.
    system : EmbeddedSystem
        The system.
    poisoner : Poisoner
        Writes poison.
    """

    def __init__(self, fleet: Fleet, system: EmbeddedSystem, poisoner: Poisoner) -> None:
        super().__init__(fleet, system.links["client-gateway"])
        self._system, self._poisoner = system, poisoner

    def _known(self) -> dict[str, Callable[[Fault], Awaitable[str]]]:
        own: dict[str, Callable[[Fault], Awaitable[str]]] = {
            "rebalance": self._rebalance,
            FULL_DISK: self._full_disk,
            "poison": self._poison,
            "kill-clickhouse": self._kill_at_insert,
        }
        for name in ("gateway", "worker", "sink", "broker"):
            own[f"kill-{name}"] = self._kill
        for name in ("gateway", "worker", "sink", "broker", "clickhouse"):
            own[f"pause-{name}"] = self._pause
        for name in ("gateway-broker", "gateway-clickhouse", "worker-broker", "sink-broker",
                     "sink-clickhouse"):  # fmt: skip
            own[f"cut-{name}"] = self._cut
        return super()._known() | own

    def _victim(self, fault: Fault) -> str:
        name = fault.kind.partition("-")[2].partition("-")[0]
        if name == "worker":
            workers = self._system.workers()
            return workers[int(fault.pick * len(workers))]
        return _PROCESSES.get(name, name)

    async def _kill(self, fault: Fault) -> str:
        name = self._victim(fault)
        return f"{name} killed" if self._signal(name, signal.SIGKILL) else f"{name} was away"

    async def _kill_at_insert(self, _: Fault) -> str:
        link, loop = self._system.links["sink-clickhouse"], asyncio.get_running_loop()
        inserting = asyncio.Event()

        def sprung() -> None:
            self._signal("clickhouse", signal.SIGKILL)
            loop.call_soon_threadsafe(inserting.set)

        link.trap(sprung)
        try:
            async with asyncio.timeout(_INSERT_SECONDS):
                await inserting.wait()
        except TimeoutError:
            link.disarm()
            self._signal("clickhouse", signal.SIGKILL)
            return "clickhouse killed; there was no insert"
        return "clickhouse killed with half of an insert's body received"

    async def _pause(self, fault: Fault) -> str:
        name = self._victim(fault)
        pid = self._signal(name, signal.SIGSTOP)
        if pid is None:
            return f"{name} was away"
        try:
            await asyncio.sleep(fault.seconds)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        return f"{name} stood still for {fault.seconds:.1f} s"

    async def _cut(self, fault: Fault) -> str:
        ends = fault.kind.partition("-")[2].partition("-")[2]
        return await cut(self._system.links[f"{self._victim(fault)}-{ends}"], fault)

    async def _rebalance(self, fault: Fault) -> str:
        chance = random.Random(fault.pick)  # noqa: S311  (must be repeatable, guards nothing)
        loop = asyncio.get_running_loop()
        until = loop.time() + fault.seconds
        done = []
        while loop.time() < until:
            running, away = self._system.workers(), self._system.workers_away()
            leave = not away or (len(running) > 2 and chance.random() < 0.5)
            name = chance.choice(running if leave else away)
            slot = self._system.slots[name]
            await asyncio.to_thread(slot.stop if leave else slot.start)
            done.append(f"{name} {'left' if leave else 'joined'}")
            await asyncio.sleep(chance.uniform(*_REBALANCE_SECONDS))
        return ", ".join(done)

    async def _full_disk(self, fault: Fault) -> str:
        disk, loop = self._system.disk, asyncio.get_running_loop()
        assert disk is not None, "planned only where it is possible"  # noqa: S101
        leave = _NEARLY_BYTES if fault.mode == "nearly" else 0
        try:
            # As disks do, it fills up by and by: what is written meanwhile may still find room.
            await asyncio.to_thread(disk.fill, _SLOWLY_BYTES, disk.free_bytes())
            while disk.free_bytes() > leave + _BLOCK_BYTES:
                await asyncio.to_thread(disk.fill, leave, _BLOCK_BYTES)
                await asyncio.sleep(_FILL_SECONDS)
            until = loop.time() + fault.seconds
            while loop.time() < until:  # what the server frees meanwhile is taken too
                await asyncio.to_thread(disk.fill, leave, disk.free_bytes())
                await asyncio.sleep(_FILL_SECONDS)
                if fault.mode == "wavering":  # room enough to begin with an insert, not to end it
                    await asyncio.to_thread(disk.release, _WAVER_BYTES)
                    await asyncio.sleep(_FILL_SECONDS)
        finally:
            await asyncio.to_thread(disk.empty)
        return f"disk {fault.mode} full for {fault.seconds:.1f} s".replace("full full", "full")

    async def _poison(self, fault: Fault) -> str:
        for attempt in range(_POISON_ATTEMPTS):
            with contextlib.suppress(KafkaUnavailableError):  # the broker may be away just now
                count = await asyncio.to_thread(self._poisoner.poison, fault.pick + attempt)
                return f"{count} records"
        return "the broker took none"

    def _signal(self, name: str, number: signal.Signals) -> int | None:
        """Send a signal; return the process's id, or None when there is no process."""
        pid = self._system.slots[name].pid
        if pid is None:
            return None
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return None
        return pid


async def cut(link: Link, fault: Fault) -> str:
    """Reset connections, refuse them for a time, or let nothing pass for a time."""
    if fault.mode == "reset":
        before = link.cut
        await asyncio.to_thread(link.reset)
        return f"{link.cut - before} connections reset"
    await asyncio.to_thread(link.set_state, "refuse" if fault.mode == "refuse" else "stall")
    try:
        await asyncio.sleep(fault.seconds)
    finally:
        await asyncio.to_thread(link.set_state, "open")
    return f"{fault.mode} for {fault.seconds:.1f} s"
