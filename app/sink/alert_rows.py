"""Topic ``alerts``: revisions of alerts."""

from typing import Final

import pyarrow as pa

from app.sink.records import MILLISECONDS, UUID16, Decoded, Record, parse_uuids, table_of
from schemas.codec import Codec

_SCHEMA: Final = pa.schema(
    {
        "alert_id": UUID16,
        "user_id": UUID16,
        "metric": pa.string(),
        "device_id": pa.string(),
        "rule": pa.string(),
        "rule_version": pa.uint32(),
        "severity": pa.string(),
        "status": pa.string(),
        "revision": pa.uint32(),
        "opened_at": MILLISECONDS,
        "changed_at": MILLISECONDS,
        "resolved_at": MILLISECONDS,
        "value": pa.float64(),
        "unit": pa.string(),
        "expected_low": pa.float64(),
        "expected_high": pa.float64(),
        "baseline_count": pa.uint32(),
        "window_start": MILLISECONDS,
        "window_end": MILLISECONDS,
        "explanation": pa.string(),
        "sample_times": pa.list_(MILLISECONDS),
        "sample_values": pa.list_(pa.float64()),
    }
)
_RENAMED: Final = {
    "opened_at": "opened_ms",
    "changed_at": "changed_ms",
    "resolved_at": "resolved_ms",
    "window_start": "window_start_ms",
    "window_end": "window_end_ms",
}


def decode_alert(record: Record, codec: Codec) -> Decoded:
    """Return what a record of topic ``alerts`` asks for.

    Raises
    ------
    DataError
        If it is none, or breaks the data contract.
    """
    alert = codec.decode("alert", record.value)
    row = {name: alert[_RENAMED.get(name, name)] for name in _SCHEMA.names}
    row["alert_id"], row["user_id"] = (
        one.tobytes() for one in parse_uuids([alert["alert_id"], alert["user_id"]], "id")
    )
    return Decoded(record, {"alerts_data": table_of([row], _SCHEMA)})
