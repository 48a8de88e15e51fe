"""The server's directory: lock, configuration, scratch space and the first database.

``DATA_DIR/clickhouse`` holds ``engine`` (the tables), ``tmp`` (purged at every start), ``files``
(always empty: the working directory), ``config.xml`` (written at every start) and ``lock``.
"""

import fcntl
import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from xml.sax.saxutils import escape

from app.errors import DataDirectoryInUseError

# The engine makes a database of this name whose tables are also the machine's files (`SELECT *
# FROM "/etc/passwd"`). By default it is called "default", where everybody's queries run; under a
# name of its own it can be dropped.
FILESYSTEM_DATABASE = "_filesystem"

_MIB = 1 << 20
_KEPT_FREE = 64 * _MIB


@dataclass(frozen=True, slots=True)
class Storage:
    """Paths of one instance, all absolute, and the lock that it holds until the process ends."""

    root: Path
    lock: IO[str]

    @property
    def engine(self) -> Path:
        """Where the engine keeps its tables."""
        return self.root / "engine"

    @property
    def scratch(self) -> Path:
        """Where the engine spools; it holds plain data, so nothing in it outlives a restart."""
        return self.root / "tmp"

    @property
    def working(self) -> Path:
        """An empty directory: relative paths in statements lead nowhere."""
        return self.root / "files"


def prepare(data_dir: Path, memory_mb: int) -> Storage:
    """Lock the directory, purge its scratch space and write the engine's configuration.

    Parameters
    ----------
    data_dir
        The instance's data directory; made when missing.
    memory_mb
        Memory limit of the engine, MiB.

    Raises
    ------
    DataDirectoryInUseError
        When another process serves this directory; the message carries its id.
    """
    root = data_dir.resolve() / "clickhouse"
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    storage = Storage(root, _lock(root / "lock"))
    for directory in (storage.scratch, storage.working):
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(mode=0o700)
    (root / "config.xml").write_text(_configuration(storage, memory_mb))
    _seed_default_database(storage.engine)
    return storage


def _lock(path: Path) -> IO[str]:
    """Take the lock and say in the file who holds it; the system frees it with the process."""
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        message = f"{path.parent} is served by another ClickHouse process (id {holder})"
        raise DataDirectoryInUseError(message) from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def _configuration(storage: Storage, memory_mb: int) -> str:
    """Return the engine's configuration.

    Without the limits the engine takes 90 % of the machine's memory and caches of gigabytes. The
    two ``fsync`` settings make an insert that has returned survive a power loss. The engine does
    not notice a write that a full disk refused, and reports the insert as done; so it is kept from
    filling the disk: with too little left it refuses the insert (code 243).
    """
    mark_cache = max(16, min(256, memory_mb // 8)) * _MIB
    return f"""<clickhouse>
  <max_server_memory_usage>{memory_mb * _MIB}</max_server_memory_usage>
  <mark_cache_size>{mark_cache}</mark_cache_size>
  <query_condition_cache_size>{16 * _MIB}</query_condition_cache_size>
  <tmp_path>{escape(str(storage.scratch))}/</tmp_path>
  <user_files_path>{escape(str(storage.working))}/</user_files_path>
  <format_schema_path>{escape(str(storage.working))}/</format_schema_path>
  <merge_tree>
    <fsync_after_insert>1</fsync_after_insert>
    <fsync_part_directory>1</fsync_part_directory>
  </merge_tree>
  <storage_configuration>
    <disks>
      <default>
        <keep_free_space_bytes>{_KEPT_FREE}</keep_free_space_bytes>
      </default>
    </disks>
  </storage_configuration>
</clickhouse>
"""


def _seed_default_database(engine: Path) -> None:
    """Make ``default`` an ordinary database, and keep the filesystem one from sharing its tables.

    The engine looks for the identity of its filesystem database in ``metadata/default``, whatever
    the name; with that link in place both would claim the same tables and the engine would abort.
    It makes the link again when it opens ``default``.
    """
    metadata = engine / "metadata"
    metadata.mkdir(mode=0o700, parents=True, exist_ok=True)
    definition = metadata / "default.sql"
    if not definition.exists():
        draft = definition.with_suffix(".draft")
        draft.write_text(f"ATTACH DATABASE _ UUID '{uuid.uuid4()}'\nENGINE = Atomic\n")
        draft.rename(definition)
    link = metadata / "default"
    if link.is_symlink():
        link.unlink()
