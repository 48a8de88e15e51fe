"""Becomes the command that it is given, on some of the machine's cores only.

``python pin.py CORES COMMAND…``, cores as ``0,2``. Threads and children stay there too. Pinned
before the program starts, so that a runtime which counts its cores counts these. Standard library
only: it runs with ``-I -S``.
"""

import os
import sys


def main() -> None:
    """Pin this process and replace it by the command."""
    cores, command = sys.argv[1], sys.argv[2:]
    os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    try:
        os.execvp(command[0], command)  # noqa: S606  (that is what it is for)
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        sys.exit(127)


if __name__ == "__main__":
    main()
