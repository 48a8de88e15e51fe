"""Topic ``upload-status``: what gateways declare to have taken."""

import pyarrow as pa

from app.sink.records import Decoded, Record, parse_uuids
from app.sink.sample_rows import stage_rows
from schemas import statuses
from schemas.codec import Codec


def decode_status(record: Record, codec: Codec) -> Decoded:
    """Return what a record of topic ``upload-status`` asks for: rows at stage received only.

    Raises
    ------
    DataError
        If it is none, or breaks the data contract.
    """
    status = statuses.decode(record.value, codec)
    if status.stage != "received":
        return Decoded(record, {})
    n = len(status.upload_ids)
    nothing = pa.array([""] * n, pa.string())
    return Decoded(
        record,
        {
            "uploads_data": stage_rows(
                "received",
                batch_id=status.batch_id,
                user_ids=parse_uuids(status.users, "user id")[status.upload_user],
                upload_ids=status.upload_ids,
                received_ms=status.received_ms,
                counts={
                    "accepted": status.accepted,
                    "rejected": status.rejected,
                    "repeated": status.repeated,
                },
                devices=nothing,
                sources=nothing,
                reached_ms=status.at_ms,
            )
        },
    )
