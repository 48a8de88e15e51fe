"""The system's rates, as its gateway tells them."""

import json
import threading
import urllib.request
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypedDict

_EVERY_SECONDS = 1.0
_TIMEOUT_SECONDS = 2.0


class SystemRates(TypedDict, total=False):
    """Fields of ``GET /v1/system`` that are shown; ``None``: not known."""

    uploads_per_s: float | None
    samples_per_s: float | None
    delay_ms_p50: float | None
    lag_records: int | None
    alerts_open: int | None
    dead_letters: int | None


def describe(rates: SystemRates | None) -> str:
    """Return one line of text; what is not known is a dash."""
    if rates is None:
        return "waiting for the gateway"
    shown = [
        (_number(rates.get("uploads_per_s")), "uploads/s"),
        (_number(rates.get("samples_per_s")), "samples/s"),
        (_number(rates.get("delay_ms_p50")), "ms delay"),
        (_number(rates.get("lag_records")), "records behind"),
        (_number(rates.get("alerts_open")), "open alerts"),
        (_number(rates.get("dead_letters")), "dead letters"),
    ]
    return " │ ".join(f"{value} {unit}" for value, unit in shown)


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


class RatesReader:
    """Asks the gateway once a second, in a thread of its own, and keeps the last answer.

    Parameters
    ----------
    gateway
        Its base URL.
    token
        Returns a bearer token, or ``None`` for none.
    """

    def __init__(self, gateway: str, token: Callable[[], str | None]) -> None:
        self._url = f"{gateway}/v1/system"
        self._token = token
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rates", daemon=True)
        self.latest: SystemRates | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._thread.join(_TIMEOUT_SECONDS + 1)

    def _run(self) -> None:
        while not self._stopped.is_set():
            self.latest = self._ask()
            self._stopped.wait(_EVERY_SECONDS)

    def _ask(self) -> SystemRates | None:
        token = self._token()
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        request = urllib.request.Request(self._url, headers=headers)  # noqa: S310  (our gateway)
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310
                rates: SystemRates = json.load(response)
        except (OSError, ValueError):
            return None
        return rates
