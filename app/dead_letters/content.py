"""The content of a dead letter in words, as far as it decodes."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from agents.failures import ERROR_CHAIN
from app.dead_letters.letters import DeadLetter
from schemas.codec import Codec
from schemas.uploads import UploadBatch

_HEX_BYTES: Final = 256
_HEADER_BYTES: Final = 5
_MOST_SAMPLES: Final = 20


def chain_of(letter: DeadLetter) -> list[str]:
    """Return the errors of a dead letter, the first one first."""
    return [link for link in letter.text(ERROR_CHAIN).split(" | ") if link]


def describe_content(letter: DeadLetter, codec: Codec, *, values: bool) -> Iterator[str]:
    """Yield lines about the uploads in a dead letter, or its first bytes.

    Parameters
    ----------
    letter : DeadLetter
        The dead letter.
    codec : Codec
        For the record.
    values : bool
        Whether measured values may be shown: the samples themselves, and the bytes of a record
        that does not decode, which may hold some.
    """
    batch = letter.uploads(codec)
    if batch is None:
        yield f"{len(letter.value):,} bytes that are no upload batch{_wire_format(letter.value)}"
        if values:
            yield letter.value[:_HEX_BYTES].hex(" ", 4)
        return
    for row in range(len(batch)):
        yield (
            f"upload {UUID(bytes=batch.upload_ids[row].tobytes())}"
            f" of user {batch.users[batch.upload_user[row]]},"
            f" device {batch.devices[batch.upload_device[row]]},"
            f" received {moment(int(batch.received_ms[row]))}, {batch.accepted[row]} accepted"
        )
        yield from _series(batch, row, values=values)


def _series(batch: UploadBatch, row: int, *, values: bool) -> Iterator[str]:
    start = batch.series_start
    for series in (batch.series_upload == row).nonzero()[0].tolist():
        part = slice(int(start[series]), int(start[series + 1]))
        times = batch.times[part]
        metric = batch.metrics[batch.series_metric[series]]
        if len(times) == 0:
            yield f"  {metric}: no samples"
            continue
        first, last = moment(int(times.min())), moment(int(times.max()))
        yield f"  {metric}: {len(times)} samples, {first} to {last}"
        if not values:
            continue
        for time, value in zip(
            times[:_MOST_SAMPLES].tolist(), batch.values[part][:_MOST_SAMPLES].tolist(), strict=True
        ):
            yield f"    {moment(time)} {value:g}"
        if len(times) > _MOST_SAMPLES:
            yield f"    and {len(times) - _MOST_SAMPLES:,} more"


def _wire_format(value: bytes) -> str:
    """Say which schema a record claims to have, if it is in the wire format at all."""
    if len(value) < _HEADER_BYTES or value[0] != 0:
        return ", and not in the wire format"
    return f"; schema id {int.from_bytes(value[1:_HEADER_BYTES], 'big')}"


def moment(epoch_ms: int) -> str:
    """Return an instant as text, in UTC; a number that is no date as it is."""
    try:
        found = datetime.fromtimestamp(epoch_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return f"{epoch_ms} ms"
    return found.isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z")
