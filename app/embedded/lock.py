"""Writes ``kafka.lock.json`` for a Kafka version: ``python -m app.embedded.lock 4.4.0``."""

import hashlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from app.embedded.jars import LOCK_PATH

# The broker logs through SLF4J 1.7 and declares no binding; its distribution adds this one.
_LOG_BINDING = "org.apache.logging.log4j:log4j-slf4j-impl"
_LOG_CORE = "org.apache.logging.log4j:log4j-core"


def resolve(version: str, repository: Path) -> list[dict[str, Any]]:
    """Resolve the broker and all that it needs at run time.

    Parameters
    ----------
    version
        Kafka's version.
    repository
        Directory that the archives are fetched to.

    Returns
    -------
    list of dict
        ``coordinate``, ``size`` (bytes) and ``sha256`` of each archive, by coordinate.
    """
    from jgo.maven import MavenContext  # noqa: PLC0415  (the running broker never needs it)

    context = MavenContext(repo_cache=repository, timeout=60)
    broker = context.create_dependency(f"org.apache.kafka:kafka_2.13:{version}")
    roots, needed = context.resolver.resolve([broker])
    artifacts = [d.artifact for d in roots] + [
        d.artifact for d in needed if d.scope in {"compile", "runtime"}
    ]
    logging_version = next(
        a.version for a in artifacts if f"{a.groupId}:{a.artifactId}" == _LOG_CORE
    )
    binding = context.create_dependency(f"{_LOG_BINDING}:{logging_version}")
    entries = []
    for artifact in [*artifacts, binding.artifact]:
        data = Path(artifact.resolve()).read_bytes()
        entries.append(
            {
                "coordinate": f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}",
                "size": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
            }
        )
    return sorted(entries, key=lambda entry: str(entry["coordinate"]))


def main() -> None:
    """Resolve the version named on the command line and write the lock."""
    with tempfile.TemporaryDirectory() as repository:
        jars = resolve(sys.argv[1], Path(repository))
    LOCK_PATH.write_text(json.dumps({"jars": jars}, indent=1) + "\n")
    sys.stdout.write(f"{len(jars)} archives locked in {LOCK_PATH}\n")


if __name__ == "__main__":
    main()
