"""Every benchmark: its module and its line in the help."""

from importlib.util import find_spec
from typing import Final

BENCHMARKS: Final = {
    "stream": ("benchmarks.stream", "The worker against Kafka Streams, Quix Streams and Faust."),
    "state": ("benchmarks.state", "Memory, restart and take-over with 100,000 people."),
    "growth": ("benchmarks.growth", "Cost an upload as people, uploads and workers grow."),
    "gateway": ("benchmarks.gateway", "The gateway against a bare HTTP handler."),
    "sink": ("benchmarks.sink", "The sink against a bare loop of inserts."),
    "delay": ("benchmarks.delay", "From a POST that is answered to a browser that is told."),
}
"""Module and summary by name, in the order in which ``all`` runs them."""


def available() -> tuple[str, ...]:
    """Return the benchmarks that are here: an image without the checkout has none."""
    if find_spec("benchmarks") is None:
        return ()
    return tuple(name for name, (module, _) in BENCHMARKS.items() if find_spec(module) is not None)
