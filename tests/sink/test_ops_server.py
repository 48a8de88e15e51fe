"""What operators ask of a process: metrics, health, readiness."""

import aiohttp
import pytest
from prometheus_client import Counter

from app.embedded.ports import free_port
from app.errors import PortInUseError
from app.metrics import new_registry
from app.ops_server import OpsServer


async def test_it_tells_metrics_health_and_readiness() -> None:
    registry = new_registry()
    Counter("vitalstream_test", "A test.", registry=registry).inc(3)
    state = {"ready": False}
    port = free_port()
    server = OpsServer(port, registry, lambda: (state["ready"], {"lag": 7}))
    await server.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            async with session.get("/metrics") as answer:
                assert "vitalstream_test_total 3.0" in await answer.text()
            async with session.get("/healthz") as answer:
                assert answer.status == 200
            async with session.get("/readyz") as answer:
                assert answer.status == 503
                assert await answer.json() == {"status": "not ready", "checks": {"lag": 7}}
            state["ready"] = True
            async with session.get("/readyz") as answer:
                assert answer.status == 200
        with pytest.raises(PortInUseError, match=str(port)):
            await OpsServer(port, registry, lambda: (True, {})).start()
    finally:
        await server.stop()


async def test_port_0_means_not_at_all() -> None:
    server = OpsServer(0, new_registry(), lambda: (True, {}))
    await server.start()
    await server.stop()
