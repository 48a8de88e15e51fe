"""A result as JSON, with all that is needed to judge it: machine, versions, commit, parameters."""

import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from app import __version__
from app.bench.bench import CHECKOUT
from app.bench.result import Result
from app.embedded.jars import locked_jars

_PACKAGES: Final = (
    "faust-streaming", "aiokafka", "confluent-kafka", "fastavro", "numpy", "pyarrow", "aiohttp",
    "chdb-core",
)  # fmt: skip


def document(
    name: str, result: Result, parameters: Mapping[str, Any], repeats: int
) -> dict[str, Any]:
    """Return a result as an object of JSON.

    Parameters
    ----------
    name : str
        The benchmark.
    result : Result
        What it found.
    parameters : mapping of str to object
        Its parameters.
    repeats : int
        How often everything was measured.
    """
    return {
        "benchmark": name,
        "title": result.title,
        "commit": _commit(),
        "machine": machine(),
        "versions": _versions(),
        "repeats": repeats,
        "parameters": dict(parameters),
        "figures": [
            {
                "subject": figure.subject,
                "quantity": figure.quantity,
                "median": figure.median,
                "values": list(figure.values),
            }
            for figure in result.figures
        ],
        "ratios": [
            {
                "name": one.name,
                "median": one.median,
                "values": list(one.values),
                "at_least": one.at_least,
                "at_most": one.at_most,
                "met": one.met,
            }
            for one in result.ratios
        ],
        "notes": list(result.notes),
    }


def machine() -> dict[str, Any]:
    """Return what the benchmark ran on; names nobody's host."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
        "load_average": round(os.getloadavg()[0], 2),
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _versions() -> dict[str, str]:
    found = {"vitalstream": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    brokers = [jar.coordinate for jar in locked_jars() if ":kafka-server:" in jar.coordinate]
    return found | {"kafka": brokers[0].rpartition(":")[2]}


def _commit() -> str:
    """Return the checkout's commit, with a plus sign when files differ from it."""

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    try:
        commit = git("rev-parse", "--short", "HEAD")
        return f"{commit}+" if commit and git("status", "--porcelain") else commit or "unknown"
    except FileNotFoundError:  # there is no git
        return "unknown"
