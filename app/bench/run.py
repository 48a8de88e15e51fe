"""Runs one benchmark in scratch space of its own and writes what it found."""

import shutil
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

import orjson
from pydantic import BaseModel

from app.bench.bench import Bench
from app.bench.chart import svg
from app.bench.document import document
from app.bench.registry import BENCHMARKS
from app.bench.result import Result
from app.settings import Settings


class Benchmark(Protocol):
    """A benchmark's module; see :mod:`app.bench.result`."""

    Parameters: type[BaseModel]
    QUICK: dict[str, object]

    def measure(self, bench: Bench, parameters: BaseModel) -> Result:
        """Measure everything, interleaved, ``bench.repeats`` times."""


def load(name: str) -> Benchmark:
    """Import a benchmark by its name."""
    return cast("Benchmark", import_module(BENCHMARKS[name][0]))


def run(
    settings: Settings,
    name: str,
    parameters: BaseModel,
    *,
    repeats: int,
    output: Path,
    say: Callable[[str], None],
) -> Result:
    """Run a benchmark; write ``NAME.json`` and, where it has one, its chart ``NAME.svg``.

    Parameters
    ----------
    settings : Settings
        Only the data directory, for scratch space and what is kept, and the Java are taken.
    name : str
        Of :data:`app.bench.registry.BENCHMARKS`.
    parameters : pydantic.BaseModel
        The benchmark's own.
    repeats : int
        How often every subject is measured.
    output : pathlib.Path
        Directory of the two files.
    say : callable
        Tells the person who waits how far it is.

    Raises
    ------
    VitalstreamError
        If something could not be started or did not finish.
    """
    cache = settings.data_dir / "bench"
    cache.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=cache))
    try:
        bench = Bench(scratch.absolute(), cache.absolute(), repeats, say, settings.java)
        if not bench.cores.separate:
            say("one core only: what is measured shares it with the broker")
        result = load(name).measure(bench, parameters)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    output.mkdir(parents=True, exist_ok=True)
    found = document(name, result, parameters.model_dump(), repeats)
    (output / f"{name}.json").write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    if result.charted:
        (output / f"{name}.svg").write_text(svg(result))
    return result
