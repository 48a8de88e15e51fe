"""Makes the bundled recordings from their public sources.

``python -m app.replay.prepare SOURCES OUTPUT --identities FILE`` with ``fitdecode`` installed.
``SOURCES`` is laid out as ``recordings/README.md`` says; :mod:`app.replay.origins` holds the rules
of what is taken. People and devices get random UUIDs, which are kept in ``FILE`` and used again
when it exists: it links people to their codes in the sources, so keep it out of the repository.
The same sources and identities give the same bytes.
"""

import argparse
import gzip
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from app.replay import origins
from app.replay.origins import Origin, Sample

COLUMNS = "time,metric,unit,value,device,source"


class Identities:
    """Random ids of people and devices, remembered in a file that is not shipped."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._ids: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}

    def of(self, *key: str) -> str:
        """Return the id of a person or device, made up when it is asked for the first time."""
        return self._ids.setdefault("/".join(key), str(uuid4()))

    def save(self) -> None:
        """Write the file."""
        self._file.write_text(json.dumps(self._ids, indent=1) + "\n")


def write(origin: Origin, identities: Identities, folder: Path) -> Path:
    """Write one person's recording.

    Parameters
    ----------
    origin
        The person's samples, in any order.
    identities
        Gives the person's and the devices' ids.
    folder
        Where ``PERSON.csv.gz`` is written.

    Returns
    -------
    Path
        The file. Its gzip header holds neither name nor time, so equal content is equal bytes.
    """
    lines = [COLUMNS]
    for sample in sorted(origin.samples):
        device = identities.of(origin.source, origin.code, sample.device)
        at = datetime.fromtimestamp(sample.time_ms // 1000, UTC)
        time = f"{at:%Y-%m-%dT%H:%M:%S}.{sample.time_ms % 1000:03}Z"
        lines.append(
            f"{time},{sample.metric},{sample.unit},{sample.value:.10g},{device},{origin.source}"
        )
    path = folder / f"{identities.of(origin.source, origin.code)}.csv.gz"
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode(), 9, mtime=0))
    return path


def describe(path: Path, source: str, samples: list[Sample]) -> str:
    """Return the recording's line of the table in the README (Markdown)."""
    counts = Counter(sample.metric for sample in samples)
    times = [sample.time_ms for sample in samples]
    days = (max(times) - min(times)) / 86_400_000
    metrics = ", ".join(f"{metric} {count:,}" for metric, count in counts.most_common())
    name = path.name.removesuffix(".csv.gz")
    return f"| {name} | {source} | {len(samples):,} | {days:.1f} | {metrics} |"


def main() -> None:
    """Make all recordings and print their table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", type=Path, help="folder of the public sources")
    parser.add_argument("output", type=Path, help="folder in which the recordings are written")
    parser.add_argument("--identities", type=Path, required=True, help="file of the random ids")
    arguments = parser.parse_args()
    sources: Path = arguments.sources
    identities = Identities(arguments.identities)
    people = [
        *origins.welltory(sources / "welltory" / "data"),
        *origins.hall(sources / "hall_cgm.csv"),
        *origins.fitabase(sources / "fitabase6"),
        *origins.activities(sources / "formats" / "fit"),
    ]
    table = []
    for origin in people:
        path = write(origin, identities, arguments.output)
        table.append(describe(path, origin.source, origin.samples))
    identities.save()
    print("\n".join(sorted(table)))


if __name__ == "__main__":
    main()
