"""Random batches of every kind, each as its contract wants it."""

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from schemas.accepted import AcceptedBatch
from schemas.columns import F64, I8, I32, I64, U64, UUID
from schemas.statuses import STAGES, StatusBatch
from schemas.uploads import UploadBatch
from schemas.windows import WindowBatch

_names = st.lists(st.text(max_size=8), min_size=1, max_size=4, unique=True)
_batch_ids = st.binary(min_size=16, max_size=16)


def _ints(dtype: np.dtype[Any], low: int | None = None, high: int | None = None) -> Any:  # noqa: ANN401
    info = np.iinfo(dtype)
    return st.integers(info.min if low is None else low, info.max if high is None else high)


def _column(draw: st.DrawFn, dtype: np.dtype[Any], size: int) -> NDArray[Any]:
    """Any bits at all: also NaN with a payload, infinities and negative zero."""
    data = draw(st.binary(min_size=size * dtype.itemsize, max_size=size * dtype.itemsize))
    return np.frombuffer(data, dtype)


def _codes(draw: st.DrawFn, size: int, entries: int) -> NDArray[np.int32]:
    codes = st.lists(st.integers(0, entries - 1), min_size=size, max_size=size)
    return np.array(draw(codes), I32)


@st.composite
def upload_batches(draw: st.DrawFn) -> UploadBatch:
    """Draw uploads whose series, samples and counts agree."""
    users, devices, sources, metrics = (draw(_names) for _ in range(4))
    n = draw(st.integers(0, 5))
    series_upload = sorted(draw(st.lists(st.integers(0, n - 1), max_size=6))) if n else []
    s = len(series_upload)
    instants = st.lists(_ints(I64, -(10**14), 10**14), min_size=1, max_size=6, unique=True)
    times = [sorted(draw(instants)) for _ in range(s)]
    lengths = [len(series) for series in times]
    total = sum(lengths)
    finite = st.floats(allow_nan=False, allow_infinity=False)
    repeated = np.array(draw(st.lists(st.integers(0, 9), min_size=n, max_size=n)), I32)
    kept = np.bincount(np.array(series_upload, I32), weights=np.array(lengths, F64), minlength=n)
    return UploadBatch(
        batch_id=draw(_batch_ids),
        users=users,
        devices=devices,
        sources=sources,
        metrics=metrics,
        upload_ids=_column(draw, UUID, n),
        upload_user=_codes(draw, n, len(users)),
        upload_device=_codes(draw, n, len(devices)),
        upload_source=_codes(draw, n, len(sources)),
        received_ms=_column(draw, I64, n),
        accepted=(kept[:n] + repeated).astype(I32),
        rejected=_column(draw, I32, n),
        repeated=repeated,
        series_upload=np.array(series_upload, I32),
        series_metric=_codes(draw, s, len(metrics)),
        series_length=np.array(lengths, I32),
        times=np.array([t for series in times for t in series], I64),
        values=np.array(draw(st.lists(finite, min_size=total, max_size=total)), F64),
    )


@st.composite
def window_batches(draw: st.DrawFn) -> WindowBatch:
    """Draw windows of any numbers."""
    users, metrics, w = draw(_names), draw(_names), draw(st.integers(0, 5))
    floats = ["sum", "sum_sq", "min", "max", "first", "last", "expected_low", "expected_high"]
    instants = ["start", "end", "count", "emitted_ms"]
    columns: dict[str, Any] = {name: _column(draw, F64, w) for name in floats}
    columns |= {name: _column(draw, I64, w) for name in instants}
    return WindowBatch(
        users=users,
        metrics=metrics,
        user=_codes(draw, w, len(users)),
        metric=_codes(draw, w, len(metrics)),
        size=_codes(draw, w, 3).astype(I8),
        version=_column(draw, U64, w),
        **columns,
    )


@st.composite
def accepted_batches(draw: st.DrawFn) -> AcceptedBatch:
    """Draw applied batches with some late windows; the batch inside is opaque here."""
    users, metrics, late = draw(_names), draw(_names), draw(st.integers(0, 5))
    return AcceptedBatch(
        source_topic=draw(st.text(max_size=20)),
        source_partition=draw(_ints(I32)),
        source_offset=draw(_ints(I64)),
        batch=draw(st.binary(max_size=60)),
        set_aside=_column(draw, I32, draw(st.integers(0, 4))),
        users=users,
        metrics=metrics,
        late_user=_codes(draw, late, len(users)),
        late_metric=_codes(draw, late, len(metrics)),
        late_size=_codes(draw, late, 3).astype(I8),
        late_start=_column(draw, I64, late),
        late_end=_column(draw, I64, late),
        late_samples=draw(_ints(I32)),
    )


@st.composite
def status_batches(draw: st.DrawFn) -> StatusBatch:
    """Draw statuses of some uploads."""
    users, n = draw(_names), draw(st.integers(0, 5))
    counts = ["accepted", "rejected", "repeated", "duplicate", "late"]
    columns: dict[str, Any] = {name: _column(draw, I32, n) for name in counts}
    return StatusBatch(
        batch_id=draw(_batch_ids),
        stage=draw(st.sampled_from(STAGES)),
        at_ms=draw(_ints(I64)),
        reason=draw(st.text(max_size=20)),
        users=users,
        upload_ids=_column(draw, UUID, n),
        upload_user=_codes(draw, n, len(users)),
        received_ms=_column(draw, I64, n),
        **columns,
    )
