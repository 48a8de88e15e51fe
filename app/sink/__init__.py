"""The sink: everything that the other processes have said goes into ClickHouse."""

from app.settings import Settings


def serve(settings: Settings) -> None:
    """Run a sink until it is told to stop.

    Raises
    ------
    ConfigurationError
        If a setting is wrong.
    VitalstreamError
        If the sink crashed; nothing unfinished has been acknowledged.
    """
    from app.sink.process import run  # noqa: PLC0415 - its agents import this package

    run(settings)
