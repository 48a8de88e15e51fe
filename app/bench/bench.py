"""What a benchmark is given: repeats, scratch space, cores, a broker, and a way to speak."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from app.bench.processes import Cores, MeasuredProcess, pin
from app.embedded.kafka import EmbeddedKafka
from app.embedded.ports import free_port

CHECKOUT = Path(__file__).parents[2]
_BROKER_HEAP_MB = 1024


@dataclass(frozen=True)
class Bench:
    """The surroundings of one run.

    Attributes
    ----------
    directory : pathlib.Path
        Scratch space, empty at the start, removed afterwards.
    cache : pathlib.Path
        What may be kept from one run to the next: environments and compiled classes of peers.
    repeats : int
        How often every subject is measured.
    say : callable
        Tells the person who waits how far it is: a line of text.
    java : pathlib.Path or None
        The Java that was chosen, see :func:`app.embedded.java.find_java`.
    cores : Cores
        Where what is measured runs, and all else.
    """

    directory: Path
    cache: Path
    repeats: int
    say: Callable[[str], None]
    java: Path | None = None
    cores: Cores = field(default_factory=Cores)

    @contextmanager
    def kafka(self) -> Iterator[str]:
        """Run an empty broker on the cores of "all else"; yields ``host:port``."""
        broker = EmbeddedKafka(
            self.directory / "kafka",
            port=free_port(),
            heap_mb=_BROKER_HEAP_MB,
            java=self.java,
            progress=self.say,
        )
        with broker:
            pin(broker.pid, self.cores.others)
            yield broker.bootstrap

    def environment(self, bootstrap: str, **settings: object) -> dict[str, str]:
        """Return the environment of a process of the product.

        Nothing but what is given here is set: no ``VITALSTREAM_*`` of this process, no ``.env``.

        Parameters
        ----------
        bootstrap : str
            The broker.
        settings
            Further settings by their names in :class:`app.settings.Settings`, lower case.
        """
        clean = {k: v for k, v in os.environ.items() if not k.startswith("VITALSTREAM_")}
        data = self.directory / "data"
        data.mkdir(exist_ok=True)
        chosen = {
            "data_dir": data,
            "kafka_bootstrap": bootstrap,
            "metrics_port": 0,
            "log_level": "WARNING",
        } | settings
        path = os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH", "")]))
        named = {f"VITALSTREAM_{key.upper()}": str(value) for key, value in chosen.items()}
        return clean | {"PYTHONPATH": path, "PYTHONSAFEPATH": "1"} | named

    def product(self, name: str, environment: Mapping[str, str]) -> MeasuredProcess:
        """Start ``vitalstream NAME`` on the measured core."""
        command = [sys.executable, "-m", "app.cli", name]
        return self.start(f"vitalstream {name}", command, environment)

    def start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> MeasuredProcess:
        """Start any process on the measured core, in the scratch space; stop it yourself."""
        log = self.directory / f"{name.replace(' ', '-').replace('/', '-')}.log"
        return MeasuredProcess(
            name,
            command,
            cores=self.cores.measured,
            log=log,
            env=environment,
            cwd=self.directory,
        )
