"""What a run found, for people and for machines."""

import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson
from rich.console import Console
from rich.table import Table

from app.chaos.compare import Findings
from app.chaos.journal import Journal

_SHOWN: Final = 5


@dataclass(slots=True)
class Report:
    """The figures of a run.

    Attributes
    ----------
    seed, seconds
        The run: its seed, and how long load and faults lasted.
    faults : Counter
        How many faults there were, by kind.
    recovery : dict
        Seconds until everything served again, by kind for episodes of one fault, ``together``
        for others and ``none`` for the measurement itself.
    findings : Findings
        The comparison.
    exits : list of str
        What the supervisors said of processes that ended.
    notes : list of str
        What could not be done or compared, and why.
    """

    seed: int
    seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    episodes: int = 0
    recovery: dict[str, list[float]] = field(default_factory=dict)
    findings: Findings = field(default_factory=Findings)
    exits: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    load: dict[str, int] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)

    @property
    def crashes(self) -> list[str]:
        """Processes that ended without having been killed; a suspended worker does so too."""
        return [line for line in self.exits if " ended with code " in line]

    def describe_load(self, journal: Journal, failures: Mapping[str, int]) -> None:
        """Take over the figures of the load."""
        actions = Counter(upload.action for upload in journal.uploads.values())
        self.load = {
            "uploads sent": len(journal.uploads),
            "uploads acknowledged": len(journal.promised),
            "uploads in doubt": len(journal.in_doubt),
            "acknowledged again": journal.repeated,
            "attempts": sum(upload.attempts for upload in journal.uploads.values()),
            "samples acknowledged": sum(upload.good for upload in journal.promised),
        } | {f"of action {name}": count for name, count in sorted(actions.items())}
        self.failures = dict(failures)

    def save(self, path: Path) -> None:
        """Write everything as JSON."""
        document: dict[str, Any] = {
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
            "episodes": self.episodes,
            "faults": dict(sorted(self.faults.items())),
            "recovery_seconds": {
                name: {
                    "episodes": len(times),
                    "median": round(statistics.median(times), 2),
                    "longest": round(max(times), 2),
                }
                for name, times in sorted(self.recovery.items())
            },
            "load": self.load,
            "attempts_failed": self.failures,
            "checked": dict(self.findings.checked),
            "differences": dict(self.findings.differences),
            "evidence": self.findings.evidence,
            "exits": self.exits,
            "ended_by_themselves": len(self.crashes),
            "notes": self.notes,
        }
        path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))

    def show(self, console: Console) -> None:
        """Print the figures."""
        console.print(self._fault_table())
        for name, count in self.load.items():
            console.print(f"  {name:<28}{count:>12,}")
        console.print(self._check_table())
        if self.crashes:
            console.print(f"  {len(self.crashes)} processes ended by themselves: see the report")
        for note in self.notes:
            console.print(f"  note: {note}", markup=False)
        for check, told in self.findings.evidence.items():
            for one in told[:_SHOWN]:
                console.print(f"  {check}: {one}", markup=False, style="red")

    def _fault_table(self) -> Table:
        table = Table("fault", "times", "recovery s, median", "longest", "episodes alone")
        for name in sorted({*self.faults, *self.recovery}):
            times = self.recovery.get(name, [])
            table.add_row(
                name,
                str(self.faults[name] or ""),
                f"{statistics.median(times):.1f}" if times else "",
                f"{max(times):.1f}" if times else "",
                str(len(times) or ""),
            )
        return table

    def _check_table(self) -> Table:
        table = Table("compared", "things", "differences")
        checked, differences = self.findings.checked, self.findings.differences
        for name in [*checked, *(name for name in differences if name not in checked)]:
            table.add_row(name, f"{checked[name]:,}", f"{differences[name]:,}")
        table.add_row("in all", f"{sum(checked.values()):,}", f"{self.findings.total:,}")
        return table
