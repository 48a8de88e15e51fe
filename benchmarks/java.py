"""The Java peer: its archives by a lock of their own, compiled where there is a JDK."""

import os
import shutil
import subprocess
from pathlib import Path

from app.bench.bench import Bench
from app.embedded.jars import ensure_jars, locked_jars
from app.embedded.java import find_java
from app.errors import ServerFailedError

_SOURCE = Path(__file__).parent / "kafka_streams" / "MinuteWindows.java"
_LOCK = _SOURCE.with_name("kafka_streams.lock.json")
_RELEASE = "17"


def compiler() -> str | None:
    """Return the path of the Java compiler, if there is a JDK."""
    return shutil.which("javac")


def kafka_streams(bench: Bench, javac: str) -> list[str]:
    """Return the command that runs the peer, without its arguments.

    Parameters
    ----------
    bench : Bench
        Classes are kept in its cache.
    javac : str
        The compiler.

    Raises
    ------
    ServerFailedError
        If archives cannot be fetched or the source does not compile.
    """
    jars = ensure_jars(progress=bench.say, lock=_LOCK)
    classes = bench.cache / "kafka_streams"
    shutil.rmtree(classes, ignore_errors=True)
    class_path = os.pathsep.join(map(str, [classes, *jars]))
    compiled = subprocess.run(
        [javac, "--release", _RELEASE, "-cp", class_path, "-d", str(classes), str(_SOURCE)],
        capture_output=True,
        text=True,
        check=False,
    )
    if compiled.returncode != 0:
        raise ServerFailedError(f"{_SOURCE.name} does not compile:\n{compiled.stderr}")
    return [find_java(bench.java), "-Xmx1g", "-cp", class_path, "MinuteWindows"]


def kafka_streams_version() -> str:
    """Return the version of Kafka Streams in the lock."""
    return next(
        version
        for _, artifact, version in (jar.coordinate.split(":") for jar in locked_jars(_LOCK))
        if artifact == "kafka-streams"
    )
