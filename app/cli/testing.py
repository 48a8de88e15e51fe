"""``vitalstream test``: everything that has to hold before a change is taken."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

CHECKOUT = Path(__file__).parents[2]
_CHECKS = {
    "ruff check": ["ruff", "check", "."],
    "ruff format": ["ruff", "format", "--check", "."],
    "mypy": ["mypy"],
}


def run_tests(
    *,
    fast: Annotated[bool, typer.Option("--fast", help="Run pytest alone.")] = False,
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[PYTEST ARGUMENTS]", show_default=False)
    ] = None,
) -> None:
    """Run the linter, the formatter's check, the type checker and pytest.

    All run, whatever fails; the exit code is 0 only when all pass.
    """
    checks = {} if fast else dict(_CHECKS)
    checks["pytest"] = ["pytest", *(arguments or [])]
    results: list[tuple[str, bool, float]] = []
    for name, command in checks.items():
        typer.secho(f"── {name}", bold=True)
        started = time.monotonic()
        done = subprocess.run([sys.executable, "-m", *command], cwd=CHECKOUT, check=False)
        results.append((name, done.returncode == 0, time.monotonic() - started))
    typer.secho("── summary", bold=True)
    for name, passed, seconds in results:
        verdict = typer.style("passed", fg="green") if passed else typer.style("FAILED", fg="red")
        typer.echo(f"{name:12} {verdict} in {seconds:.1f} s")
    if not all(passed for _, passed, _ in results):
        raise typer.Exit(1)


# What this command does not know goes to pytest.
run_tests.command_options = {"context_settings": {"ignore_unknown_options": True}}  # type: ignore[attr-defined]
