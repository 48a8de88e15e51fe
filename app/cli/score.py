"""``vitalstream score``."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    *,
    detector: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="anomaly: values new to their series. illness-pattern: days with far fewer steps "
            "than usual. nightsignal: two nights with a raised heart rate.",
        ),
    ],
    source: Annotated[
        Path,
        typer.Option(
            "--input",
            metavar="IN.csv",
            help="The recording: a column time, and one column for each metric, or one named "
            "value.",
        ),
    ],
    target: Annotated[
        Path, typer.Option("--output", metavar="OUT.csv", help="Where to write time,score.")
    ],
) -> None:
    """Score each row of a recording: the higher, the more unusual given the rows before.

    Times are RFC 3339 with a zone, or YYYY-MM-DD HH:MM:SS in UTC. Empty cells are missing values.
    The output has the same rows in the same order. 'docs/detection.md' explains the scores.
    """
    from app.score import score_file  # noqa: PLC0415  (slow to import)

    summary = score_file(detector, source, target)
    typer.echo(f"{summary.rows:,} rows scored")
    if summary.row:
        typer.echo(
            f"most unusual: {summary.time} (row {summary.row:,}, score {summary.highest:.3g}): "
            f"{summary.reason}"
        )
