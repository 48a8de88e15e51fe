"""The programs of an instance: names, ports and what is checked before anything starts."""

import socket
from pathlib import Path

import pytest

from app.embedded.ports import free_port
from app.errors import PortInUseError
from app.settings import Settings
from app.supervisor.rates import SystemRates, describe
from app.supervisor.system import System, answers


def test_workers_and_sink_have_metrics_ports_of_their_own(tmp_path: Path) -> None:
    system = System(Settings(data_dir=tmp_path, metrics_port=9100, port_offset=50), workers=3)
    workers = system.all_workers()
    assert [worker.name for worker in workers] == ["worker", "worker-1", "worker-2"]
    ports = [program.env["VITALSTREAM_METRICS_PORT"] for program in [system.sink(), *workers]]
    assert ports == ["9150", "9151", "9152", "9153"]
    assert [worker.env["VITALSTREAM_WORKER_ID"] for worker in workers] == ["0", "1", "2"]
    assert workers[2].log == tmp_path / "log" / "worker-2.log"


def test_without_metrics_ports_readiness_is_not_asked_for(tmp_path: Path) -> None:
    system = System(Settings(data_dir=tmp_path, metrics_port=0))
    assert system.sink().ready()
    assert "VITALSTREAM_METRICS_PORT" not in system.sink().env


@pytest.mark.parametrize(
    ("key", "what"),
    [("port", "gateway"), ("kafka_port", "Kafka"), ("clickhouse_port", "ClickHouse")],
)
def test_a_port_in_use_is_named_with_its_setting(key: str, what: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ports = {name: free_port() for name in ("port", "kafka_port", "clickhouse_port")}
        busy = server.getsockname()[1]
        settings = Settings(data_dir=tmp_path, metrics_port=0, **(ports | {key: busy}))
        with pytest.raises(PortInUseError, match=f"{what}.*{busy}.*VITALSTREAM_{key.upper()}"):
            System(settings).check_ports()


def test_an_offset_beyond_the_last_port_is_a_message(tmp_path: Path) -> None:
    with pytest.raises(PortInUseError, match="66000"):
        System(Settings(data_dir=tmp_path, port=60_000, port_offset=6_000)).check_ports()


def test_ports_of_servers_that_are_not_embedded_are_not_checked(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        busy = server.getsockname()[1]
        settings = Settings(
            data_dir=tmp_path,
            metrics_port=0,
            port=free_port(),
            kafka_port=busy,
            clickhouse_port=busy,
            kafka_bootstrap="kafka.example:9092",
            clickhouse_url="http://clickhouse.example:8123",
        )
        System(settings).check_ports()


def test_a_server_that_is_not_there_does_not_answer() -> None:
    assert not answers(f"http://127.0.0.1:{free_port()}/readyz")


def test_rates_that_are_not_known_are_dashes() -> None:
    rates = SystemRates(
        uploads_per_s=1234.5, samples_per_s=0.25, delay_ms_p50=None, lag_records=0, alerts_open=3
    )
    assert describe(rates) == (
        "1,234 uploads/s │ 0.2 samples/s │ - ms delay │ 0 records behind │ 3 open alerts │ "
        "- dead letters"
    )
    assert describe(None) == "waiting for the gateway"
