"""Results: medians, ratios repeat by repeat, targets, chart and table."""

import xml.etree.ElementTree as ET

import orjson
import pytest
from rich.console import Console

from app.bench.chart import svg
from app.bench.document import document
from app.bench.report import show
from app.bench.result import Ratio, Result, Table, ratio


def measured() -> Result:
    table = Table()
    for ours, theirs in ((300.0, 100.0), (100.0, 50.0), (900.0, 100.0)):
        table.add("worker", "uploads/s", ours)
        table.add("peer <x>", "uploads/s", theirs)
    figures = table.figures()
    ratios = (ratio(figures, "uploads/s", "worker", "peer <x>", at_least=2.5),)
    return Result("A title", figures, ratios, ("A note [not markup].",), "uploads/s")


def test_ratios_compare_repeat_with_repeat() -> None:
    [one] = measured().ratios
    assert one.values == (3.0, 2.0, 9.0)
    assert one.median == 3.0
    assert one.met


def test_a_target_may_be_missed_or_absent() -> None:
    assert Ratio("r", (1.0, 2.0, 3.0), at_most=1.9).met is False
    assert Ratio("r", (1.0, 2.0, 3.0), at_least=1.0, at_most=2.0).met
    assert Ratio("r", (1.0,)).met is None


def test_repeats_that_do_not_match_are_refused() -> None:
    table = Table()
    table.add("a", "x", 1.0)
    table.add("a", "x", 1.0)
    table.add("b", "x", 1.0)
    with pytest.raises(ValueError, match="shorter"):
        ratio(table.figures(), "x", "a", "b")
    with pytest.raises(KeyError, match="x of c was not measured"):
        ratio(table.figures(), "x", "a", "c")


def test_the_chart_is_svg_with_a_bar_a_subject() -> None:
    root = ET.fromstring(svg(measured()))  # noqa: S314  (our own)
    bars = root.findall("{http://www.w3.org/2000/svg}rect")
    assert [float(bar.attrib["width"]) for bar in bars] == sorted(
        (float(bar.attrib["width"]) for bar in bars), reverse=True
    )
    assert len(bars) == 2
    assert "peer <x>" in [element.text for element in root]


def test_the_table_shows_medians_ranges_and_targets() -> None:
    console = Console(width=120)
    with console.capture() as captured:
        show(measured(), console)
    shown = captured.get()
    assert "300 (100 to 900)" in shown
    assert "≥ 2.5 met" in shown
    assert "A note [not markup]." in shown


def test_the_document_says_on_what_it_was_measured() -> None:
    found = orjson.loads(orjson.dumps(document("stream", measured(), {"uploads": 3}, 3)))
    assert found["parameters"] == {"uploads": 3}
    assert found["machine"]["cores"] >= 1
    assert {"python", "kafka", "numpy", "vitalstream"} <= set(found["versions"])
    assert found["figures"][0]["values"] == [300.0, 100.0, 900.0]
