"""Alerts: what the rules conclude, as entities with a life of revisions.

An alert is opened once, may be updated, and is resolved at most once. Everything in it follows
from the samples and their event times, so that the same samples give the same alerts, with the
same ids and revisions, however they were batched and however often they are processed.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal
from uuid import UUID, uuid5

NAMESPACE: Final = UUID("6f0c1d0e-52c5-5d7a-9a51-0f7a3c1b8e42")
"""Namespace of alert ids; a change would give every known alert a second identity."""

MAX_EVIDENCE: Final = 12
"""How many samples an alert shows at most."""

Severity = Literal["info", "warning", "critical"]
Status = Literal["opened", "updated", "resolved"]

SEVERITIES: Final[tuple[Severity, ...]] = ("info", "warning", "critical")
"""From the least to the most urgent."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One revision of an alert; the fields are those of the Avro record of topic ``alerts``.

    All instants are event time, epoch milliseconds; values are in ``unit``.
    """

    alert_id: str
    user_id: str
    metric: str
    device_id: str
    rule: str
    rule_version: int
    severity: Severity
    status: Status
    revision: int
    opened_ms: int
    changed_ms: int
    resolved_ms: int | None
    value: float
    unit: str
    expected_low: float | None
    expected_high: float | None
    baseline_count: int
    window_start_ms: int
    window_end_ms: int
    explanation: str
    sample_times: tuple[int, ...]
    sample_values: tuple[float, ...]

    def to_record(self) -> dict[str, Any]:
        """Return the alert as the record that the Avro codec of subject ``alert`` encodes."""
        record = asdict(self)
        record["sample_times"] = list(self.sample_times)
        record["sample_values"] = list(self.sample_values)
        return record


@dataclass(frozen=True, slots=True)
class Change:
    """What a rule says about one sample: everything of an alert that the rule knows.

    ``index`` is the position of the sample in the arrays that the rule was given;
    ``window_start_ms`` is the first instant of the run of samples that ends there.
    """

    index: int
    rule: str
    rule_version: int
    severity: Severity
    status: Status
    revision: int
    opened_ms: int
    window_start_ms: int
    expected_low: float | None
    expected_high: float | None
    baseline_count: int
    explanation: str


def alert_id(user_id: str, metric: str, rule: str, opened_ms: int) -> str:
    """Return the deterministic id (UUIDv5) of the alert that a rule opened at an instant.

    Metric and rule names hold no ``|``, so the text is unambiguous whatever the user id holds.
    """
    return str(uuid5(NAMESPACE, f"{user_id}|{metric}|{rule}|{opened_ms}"))
