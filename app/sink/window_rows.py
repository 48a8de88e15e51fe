"""Topic ``windows``: versions of windows, by size."""

import numpy as np
import pyarrow as pa

from app.errors import ValidationError
from app.sink.records import Decoded, Record, coded, instants, known, parse_uuids, uuid_column
from schemas import windows
from schemas.codec import Codec
from schemas.windows import SIZE_NAMES, WindowBatch

_PLAIN = ("sum", "sum_sq", "min", "max", "first", "last")


def decode_windows(record: Record, codec: Codec) -> Decoded:
    """Return what a record of topic ``windows`` asks for.

    Raises
    ------
    DataError
        If it is none, or breaks the data contract.
    """
    batch = windows.decode(record.value, codec)
    if not np.isin(batch.size, range(len(SIZE_NAMES))).all():
        raise ValidationError("a window has an unknown size")
    rows = window_rows(batch)
    return Decoded(
        record,
        {
            f"windows_{name}_data": rows.filter(pa.array(batch.size == code))
            for code, name in enumerate(SIZE_NAMES)
            if (batch.size == code).any()
        },
    )


def window_rows(batch: WindowBatch) -> pa.Table:
    """Return the (W,) windows of a batch, of all sizes, as rows of ``windows_*_data``.

    Raises
    ------
    ValidationError
        If a user id is no UUID.
    """
    users = parse_uuids(batch.users, "user id")
    return pa.table(
        {
            "user_id": uuid_column(users[batch.user]),
            "metric": coded(batch.metric, batch.metrics),
            "window_start": instants(batch.start),
            "window_end": instants(batch.end),
            "count": pa.array(batch.count).cast(pa.uint64()),
            **{name: pa.array(getattr(batch, name), pa.float64()) for name in _PLAIN},
            "version": pa.array(batch.version, pa.uint64()),
            "expected_low": known(batch.expected_low),
            "expected_high": known(batch.expected_high),
            "emitted_at": instants(batch.emitted_ms),
        }
    )
