"""Every command: where it is written, and its line in the help."""

from typing import NamedTuple


class Entry(NamedTuple):
    """A command.

    Attributes
    ----------
    place
        ``module:name`` of a :class:`typer.Typer` or of a function; imported when it is used.
    summary
        Its line in the list of commands.
    panel
        The heading under which it is listed.
    """

    place: str
    summary: str
    panel: str


_WHOLE = "The whole system"
_PARTS = "Its processes, one by one"
_DATA = "Data"
_CARE = "Operation"

COMMANDS = {
    "demo": Entry(
        "app.cli.up:demo", "Run everything and replay recordings of real people.", _WHOLE
    ),
    "up": Entry("app.cli.up:up", "Run everything, empty, for your own data.", _WHOLE),
    "test": Entry(
        "app.cli.testing:run_tests", "Run the linters, the type checker and the tests.", _WHOLE
    ),
    "gateway": Entry("app.cli.processes:gateway", "Run the gateway: ingest, API, pages.", _PARTS),
    "worker": Entry("app.cli.processes:worker", "Run a stream worker.", _PARTS),
    "sink": Entry("app.cli.processes:sink", "Run the sink into ClickHouse.", _PARTS),
    "kafka": Entry("app.cli.processes:kafka", "Run the embedded Kafka broker.", _PARTS),
    "clickhouse": Entry("app.cli.processes:clickhouse", "Run the embedded ClickHouse.", _PARTS),
    "replay": Entry("app.cli.replay:command", "Send recordings through the gateway.", _DATA),
    "score": Entry("app.cli.score:command", "Score each row of a recording.", _DATA),
    "sql": Entry("app.cli.sql:command", "Query ClickHouse.", _DATA),
    "token": Entry("app.cli.token:token", "Print a signed token.", _DATA),
    "status": Entry("app.cli.status:command", "Show lag, rates and health.", _CARE),
    "dlq": Entry("app.cli.dlq:app", "List, show, replay and discard dead letters.", _CARE),
    "chaos": Entry(
        "app.cli.chaos:command", "Disturb the system and prove that nothing is lost.", _CARE
    ),
    "bench": Entry("app.cli.bench:app", "Measure the product, beside its peers.", _CARE),
    "capacity": Entry("app.cli.capacity:command", "Compute what so many people need.", _CARE),
    "topics": Entry("app.cli.topics:app", "Create, check or describe the topics.", _CARE),
    "migrate": Entry("app.cli.processes:migrate", "Bring ClickHouse's tables up to date.", _CARE),
    "settings": Entry("app.cli.configuration:settings", "List every setting.", _CARE),
}
