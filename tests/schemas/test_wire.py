"""The wire format: what is written is read back, and damage is told as such."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import DataError, DecodeError, UnknownSchemaError, ValidationError
from schemas import accepted, registry, statuses, uploads, windows
from schemas.codec import Codec
from tests.schemas import batches

CODEC = Codec()


@dataclass(frozen=True)
class Kind:
    """A kind of batch: how it is made, written and read."""

    subject: str
    strategy: st.SearchStrategy[Any]
    encode: Callable[[Any, Codec], bytes]
    decode: Callable[[bytes, Codec], Any]


KINDS = [
    Kind(uploads.SUBJECT, batches.upload_batches(), uploads.encode, uploads.decode),
    Kind(windows.SUBJECT, batches.window_batches(), windows.encode, windows.decode),
    Kind(accepted.SUBJECT, batches.accepted_batches(), accepted.encode, accepted.decode),
    Kind(statuses.SUBJECT, batches.status_batches(), statuses.encode, statuses.decode),
]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.subject)


def contents(batch: Any) -> dict[str, Any]:  # noqa: ANN401 - any kind of batch
    """Return the fields of a batch, columns as type and bytes: NaN equals itself."""
    values = {field.name: getattr(batch, field.name) for field in fields(batch)}
    return {
        name: (value.dtype, value.tobytes()) if isinstance(value, np.ndarray) else value
        for name, value in values.items()
    }


@every_kind
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_a_batch_comes_back_as_it_was(kind: Kind, data: st.DataObject) -> None:
    batch = data.draw(kind.strategy)
    record = kind.encode(batch, CODEC)
    assert record[:5] == b"\0" + registry.latest(kind.subject).schema_id.to_bytes(4, "big")
    assert contents(kind.decode(record, CODEC)) == contents(batch)


@every_kind
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_a_cut_batch_is_no_batch(kind: Kind, data: st.DataObject) -> None:
    record = kind.encode(data.draw(kind.strategy), CODEC)
    length = data.draw(st.integers(0, len(record) - 1))
    with pytest.raises(DecodeError):
        kind.decode(record[:length], CODEC)


@every_kind
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_bytes_that_follow_a_batch_are_noticed(kind: Kind, data: st.DataObject) -> None:
    record = kind.encode(data.draw(kind.strategy), CODEC)
    with pytest.raises(DecodeError, match="left over"):
        kind.decode(record + data.draw(st.binary(min_size=1, max_size=3)), CODEC)


@every_kind
@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_flipped_bits_are_read_or_refused(kind: Kind, data: st.DataObject) -> None:
    record = bytearray(kind.encode(data.draw(kind.strategy), CODEC))
    for _ in range(data.draw(st.integers(1, 4))):
        record[data.draw(st.integers(5, len(record) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        batch = kind.decode(bytes(record), CODEC)
    except (DecodeError, ValidationError):
        return
    # Damage inside a number or a name makes another batch, but a batch it is.
    assert contents(kind.decode(kind.encode(batch, CODEC), CODEC)) == contents(batch)


@every_kind
@settings(deadline=None, max_examples=150)
@given(body=st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(kind: Kind, body: bytes) -> None:
    header = b"\0" + registry.latest(kind.subject).schema_id.to_bytes(4, "big")
    for data in (body, header + body):
        try:
            kind.decode(data, CODEC)
        except DataError:
            continue


@pytest.mark.parametrize("subject", registry.subjects())
@settings(deadline=None, max_examples=40)
@given(body=st.binary(max_size=300))
def test_any_bytes_of_any_subject_are_read_or_refused(subject: str, body: bytes) -> None:
    header = b"\0" + registry.latest(subject).schema_id.to_bytes(4, "big")
    try:
        record = CODEC.decode(subject, header + body)
    except DecodeError:
        return
    assert CODEC.decode(subject, CODEC.encode(subject, record)) is not None


@every_kind
def test_lengths_beyond_the_record_are_refused(kind: Kind) -> None:
    header = b"\0" + registry.latest(kind.subject).schema_id.to_bytes(4, "big")
    huge = b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"  # 2**63 - 1 as Avro writes it
    for body in (huge * 8, bytes(16) + huge * 8, b"\xff" * 64):
        with pytest.raises(DecodeError):
            kind.decode(header + body, CODEC)


def test_another_magic_byte_is_refused() -> None:
    with pytest.raises(DecodeError, match="0x01"):
        CODEC.decode("alert", b"\x01" + bytes(20))


def test_records_of_another_subject_are_refused() -> None:
    header = b"\0" + registry.latest("alert").schema_id.to_bytes(4, "big")
    with pytest.raises(UnknownSchemaError, match="Alert, not"):
        uploads.decode(header + bytes(20), CODEC)


def test_unknown_ids_are_refused() -> None:
    with pytest.raises(UnknownSchemaError, match="4294967295"):
        uploads.decode(b"\0\xff\xff\xff\xff" + bytes(20), CODEC)
