"""A result as tables for people."""

from rich.console import Console
from rich.table import Table

from app.bench.result import Figure, Ratio, Result


def show(result: Result, console: Console) -> None:
    """Print medians with their ranges, ratios with their targets, and notes."""
    quantities = list(dict.fromkeys(figure.quantity for figure in result.figures))
    table = Table(title=result.title, title_justify="left")
    table.add_column("")
    for quantity in quantities:
        table.add_column(quantity, justify="right")
    for subject in dict.fromkeys(figure.subject for figure in result.figures):
        cells = {f.quantity: _cell(f) for f in result.figures if f.subject == subject}
        table.add_row(subject, *(cells.get(quantity, "") for quantity in quantities))
    console.print(table)
    if result.ratios:
        console.print(_ratios(result.ratios))
    for note in result.notes:
        console.print(f"· {note}", style="dim", markup=False)


def number(value: float) -> str:
    """Return a number as people read it: three significant digits, thousands apart."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _cell(figure: Figure) -> str:
    if len(figure.values) == 1:
        return number(figure.median)
    return f"{number(figure.median)} [dim]({number(figure.low)} to {number(figure.high)})[/]"


def _ratios(ratios: tuple[Ratio, ...]) -> Table:
    table = Table(title="Ratios, repeat by repeat", title_justify="left")
    table.add_column("")
    for heading in ("median", "range", "target"):
        table.add_column(heading, justify="right")
    for one in ratios:
        spread = f"{number(min(one.values))} to {number(max(one.values))}"
        table.add_row(one.name, number(one.median), spread, _target(one))
    return table


def _target(one: Ratio) -> str:
    limits = [f"≥ {number(one.at_least)}"] if one.at_least is not None else []
    limits += [f"≤ {number(one.at_most)}"] if one.at_most is not None else []
    verdict = {True: "[green]met[/]", False: "[red]missed[/]", None: ""}[one.met]
    return " ".join([*limits, verdict])
