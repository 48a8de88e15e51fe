"""Topic ``rejected-samples``: what gateways did not accept, as it was sent."""

from typing import Final

import pyarrow as pa

from app.sink.records import MILLISECONDS, UUID16, Decoded, Record, parse_uuids, table_of
from schemas.codec import Codec

_SCHEMA: Final = pa.schema(
    {
        "user_id": UUID16,
        "upload_id": UUID16,
        "device_id": pa.string(),
        "source": pa.string(),
        "received_at": MILLISECONDS,
        "series": pa.int32(),
        "index": pa.int32(),
        "metric": pa.string(),
        "unit": pa.string(),
        "time": pa.string(),
        "value": pa.string(),
        "reason": pa.string(),
        "detail": pa.string(),
    }
)


def decode_rejected(record: Record, codec: Codec) -> Decoded:
    """Return what a record of topic ``rejected-samples`` asks for.

    Raises
    ------
    DataError
        If it is none, or breaks the data contract.
    """
    rejected = codec.decode("rejected_samples", record.value)
    user_id, upload_id = (
        one.tobytes() for one in parse_uuids([rejected["user_id"], rejected["upload_id"]], "id")
    )
    common = {
        "user_id": user_id,
        "upload_id": upload_id,
        "device_id": rejected["device_id"],
        "source": rejected["source"],
        "received_at": rejected["received_ms"],
    }
    rows = [common | sample for sample in rejected["samples"]]
    return Decoded(record, {"rejected_samples_data": table_of(rows, _SCHEMA)})
