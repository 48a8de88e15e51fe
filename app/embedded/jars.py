"""Java archives, the broker's above all: locked by SHA-256, fetched once, shared.

``kafka.lock.json`` holds Maven coordinates and sums, no addresses: where archives come from is
jgo's configuration. ``python -m app.embedded.lock VERSION`` writes it anew.
"""

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from app.errors import ServerFailedError

LOCK_PATH = Path(__file__).with_name("kafka.lock.json")
Progress = Callable[[str], None]
_PARALLEL_DOWNLOADS = 4
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Jar:
    """One locked archive: Maven coordinate ``group:artifact:version``, bytes and SHA-256."""

    coordinate: str
    size: int
    sha256: str

    @property
    def filename(self) -> str:
        """``artifact-version.jar``."""
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"

    def matches(self, path: Path) -> bool:
        """Whether the file at ``path`` is this archive, to the byte."""
        try:
            if path.stat().st_size != self.size:
                return False
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == self.sha256
        except FileNotFoundError:
            return False


@cache
def locked_jars(lock: Path = LOCK_PATH) -> tuple[Jar, ...]:
    """Return the archives of a committed lock."""
    return tuple(Jar(**entry) for entry in json.loads(lock.read_text())["jars"])


def cache_directory(root: Path | None = None, lock: Path = LOCK_PATH) -> Path:
    """Return where the archives of this very lock are kept.

    Parameters
    ----------
    root
        Directory of caches; by default ``$XDG_CACHE_HOME/vitalstream``, else
        ``~/.cache/vitalstream``.
    lock
        The lock, ``NAME.lock.json``; by default the broker's.
    """
    if root is None:
        home = os.environ.get("XDG_CACHE_HOME")
        root = (Path(home) if home else Path.home() / ".cache") / "vitalstream"
    name, _, _ = lock.name.partition(".")
    return root / f"{name}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"


def ensure_jars(
    root: Path | None = None, progress: Progress | None = None, lock: Path = LOCK_PATH
) -> list[Path]:
    """Return the class path of a lock, by default the broker's; fetch and verify everything.

    Blocks while archives are fetched (about 45 MB the first time) or while another process is
    fetching them.

    Raises
    ------
    ServerFailedError
        When an archive cannot be fetched or is not the one in the lock.
    """
    directory = cache_directory(root, lock)
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "fetching").open("w") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)
        missing = [jar for jar in locked_jars(lock) if not jar.matches(directory / jar.filename)]
        if missing:
            _fetch_all(missing, directory, progress)
    return [directory / jar.filename for jar in locked_jars(lock)]


def _fetch_all(jars: list[Jar], directory: Path, progress: Progress | None) -> None:
    total, done = sum(jar.size for jar in jars), 0
    staging = directory / "staging"
    with ThreadPoolExecutor(_PARALLEL_DOWNLOADS) as pool:
        fetches = {pool.submit(_fetch, jar, staging, directory): jar for jar in jars}
        try:
            for count, fetch in enumerate(as_completed(fetches), 1):
                fetch.result()
                done += fetches[fetch].size
                if progress is not None:
                    progress(
                        f"Java archives {count}/{len(jars)}, {done / 1e6:.1f}/{total / 1e6:.1f} MB"
                    )
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _fetch(jar: Jar, staging: Path, directory: Path) -> None:
    """Fetch one archive and put it in place only when its sum is the locked one."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            path = _download(jar, staging)
        except (OSError, RuntimeError, ServerFailedError) as error:  # requests' are OSErrors
            if attempt == _ATTEMPTS:
                message = f"the archive {jar.coordinate} could not be fetched: {error}"
                raise ServerFailedError(message) from error
            time.sleep(attempt)
        else:
            path.replace(directory / jar.filename)
            return


def _download(jar: Jar, staging: Path) -> Path:
    """Fetch one archive through jgo, from wherever jgo is configured to look."""
    from jgo.config import GlobalSettings  # noqa: PLC0415  (only the first start fetches)
    from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415
    from jgo.maven import MavenContext  # noqa: PLC0415

    configured = GlobalSettings.load().repositories
    context = MavenContext(
        repo_cache=staging,
        remote_repos={"central": MAVEN_CENTRAL_URL, **configured},
        timeout=60,
    )
    group, artifact, version = jar.coordinate.split(":")
    # jgo would take what an interrupted download left for the whole.
    shutil.rmtree(staging / group.replace(".", "/") / artifact / version, ignore_errors=True)
    path = Path(context.project(group, artifact).at_version(version).artifact().resolve())
    if not jar.matches(path):  # cut short, or not what was locked
        raise ServerFailedError("what was fetched is not the one in the lock")
    return path
