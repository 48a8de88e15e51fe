"""A second wall around the engine: what the kernel lets this process open (Linux, Landlock).

Should a reader's statement get past the gate, it still finds no file but the server's own and the
programs', no other machine and no program to start. The rules hold for the threads started after
:func:`enter`, so it comes before the engine is loaded.
"""

import ctypes
import logging
import os
import struct
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

_log = logging.getLogger(__name__)

# linux/landlock.h; the system calls have these numbers on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG, _PATH_BENEATH = 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_ALL_V1 = (1 << 13) - 1
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_TCP = 0b11  # bind and connect; accepting on a socket that is already bound stays possible
_NO_NEW_PRIVILEGES = 38
# The engine measures its own memory and the machine. Without auxv it looks for the auxiliary vector
# behind the environment, which Python may have moved, and crashes.
_MEASUREMENTS = (
    *(f"/proc/self/{name}" for name in ("stat", "statm", "status", "io", "maps", "auxv")),
    *(f"/proc/{name}" for name in ("cpuinfo", "loadavg", "meminfo", "stat", "uptime", "version")),
    "/sys/fs/cgroup",
    "/sys/devices/system",
)


def enter(writable: Path) -> bool:
    """Confine this thread and its children to ``writable`` and to reading the programs.

    Parameters
    ----------
    writable
        The only directory with files that may be read as data, written, made or removed.

    Returns
    -------
    bool
        False where the kernel has no Landlock: the gate then stands alone.
    """
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    version = libc.syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG) if libc else -1
    if libc is None or version < 1:
        _log.warning("the kernel offers no Landlock: ClickHouse runs without its second wall")
        return False
    everything = _ALL_V1 | (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    attributes = struct.pack("<QQ", everything, _TCP)[: 16 if version >= 4 else 8]
    ruleset = _call(libc, _CREATE_RULESET, attributes, len(attributes), 0)
    try:
        _allow(libc, ruleset, [writable], everything & ~_EXECUTE)
        _allow(libc, ruleset, _programs(), _READ_FILE | _READ_DIR)
        _allow(libc, ruleset, map(Path, _MEASUREMENTS), _READ_FILE | _READ_DIR)
        _allow(libc, ruleset, [Path("/dev/null")], _READ_FILE | _WRITE_FILE)
        _allow(libc, ruleset, [Path("/dev/urandom"), Path("/dev/random")], _READ_FILE)
        libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        _call(libc, _RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return True


def _programs() -> list[Path]:
    """Return where Python, its packages, this package and shared libraries are."""
    paths = {Path(path) for path in sysconfig.get_paths().values()}
    paths |= {Path(entry) for entry in sys.path if "site-packages" in entry}
    paths |= {Path(sys.base_prefix) / "lib", Path("/usr/lib"), Path("/usr/share/zoneinfo")}
    paths |= {Path("/lib"), Path("/lib64"), Path(__file__).parents[2]}
    return sorted(paths)


def _allow(libc: ctypes.CDLL, ruleset: int, paths: Iterable[Path], rights: int) -> None:
    """Add a rule for each path that exists."""
    for path in paths:
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            granted = rights if path.is_dir() else rights & (_READ_FILE | _WRITE_FILE)
            _call(
                libc, _ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("<Qi", granted, descriptor), 0
            )
        finally:
            os.close(descriptor)


def _call(libc: ctypes.CDLL, number: int, *arguments: int | bytes) -> int:
    result = int(libc.syscall(number, *arguments))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"Landlock: {os.strerror(error)}")
    return result
