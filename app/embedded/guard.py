"""Becomes the command that it is given, but dies with the process that started it.

``python guard.py PARENT_PID COMMAND…``. The tie is set here, between fork and exec, because
running Python code in a forked child of a process with threads is not safe. Standard library only:
it runs with ``-I -S``.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie this process to its parent and replace it by the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the tie was set
        sys.exit(1)
    try:
        os.execvp(command[0], command)  # noqa: S606  (that is what it is for)
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        sys.exit(127)


if __name__ == "__main__":
    main()
