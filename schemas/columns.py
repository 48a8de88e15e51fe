"""Packed little-endian columns: how samples travel inside Avro ``bytes``."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import lz4.block
import numpy as np
from numpy.typing import NDArray

from app.errors import DecodeError

Int8 = NDArray[np.int8]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
UInt64 = NDArray[np.uint64]
Float64 = NDArray[np.float64]
Uuids = NDArray[np.void]
"""A column of UUIDs: dtype ``V16``, big-endian as RFC 9562 writes them."""

I8: Final[np.dtype[np.int8]] = np.dtype("<i1")
I32: Final[np.dtype[np.int32]] = np.dtype("<i4")
I64: Final[np.dtype[np.int64]] = np.dtype("<i8")
U64: Final[np.dtype[np.uint64]] = np.dtype("<u8")
F64: Final[np.dtype[np.float64]] = np.dtype("<f8")
UUID: Final[np.dtype[np.void]] = np.dtype("V16")
_SQUEEZED_MAX: Final = 256 << 20
Item = TypeVar("Item", bound=np.generic)


def unpack(data: bytes, dtype: np.dtype[Item], name: str) -> NDArray[Item]:
    """Read a packed column without copying it.

    Parameters
    ----------
    data : bytes
        The packed column.
    dtype : numpy.dtype
        One of ``I8 I32 I64 U64 F64 UUID``.
    name : str
        The column's name, for the error.

    Raises
    ------
    DecodeError
        If the length is no multiple of the item size.
    """
    if len(data) % dtype.itemsize:
        raise DecodeError(f"column {name!r}: {len(data)} bytes are no multiple of {dtype.itemsize}")
    return np.frombuffer(data, dtype=dtype)


def pack(values: NDArray[Any] | Sequence[int | float], dtype: np.dtype[Any]) -> bytes:
    """Write a column as packed little-endian bytes."""
    return np.ascontiguousarray(values, dtype=dtype).tobytes()


def squeeze(column: Int64 | Float64) -> bytes:
    """Pack a column of 8-byte items small; see :func:`squeeze_rows`."""
    return squeeze_rows(column.view(np.int64)[np.newaxis])


def squeeze_rows(columns: Int64) -> bytes:
    """Pack columns of 8-byte items small.

    The bytes lie in planes (all lowest bytes of a column first), which makes long runs of what
    changes little, and are compressed as one LZ4 block; its 4-byte length comes first.

    Parameters
    ----------
    columns : (k, n) int64
        The columns; other types of 8 bytes viewed as this one.
    """
    count, items = columns.shape
    whole = np.ascontiguousarray(columns).view(np.uint8).reshape(count, items, 8)
    packed: bytes = lz4.block.compress(whole.transpose(0, 2, 1).tobytes())
    return packed


def unsqueeze(data: bytes, count: int, name: str) -> list[Int64]:
    """Read columns that :func:`squeeze_rows` packed, as int64; view them as what they are.

    Parameters
    ----------
    data : bytes
        The packed columns.
    count : int
        How many there are.
    name : str
        What they are, for the error.

    Raises
    ------
    DecodeError
        If the bytes are no such columns, or more than 256 MiB.
    """
    size = int.from_bytes(data[:4], "little")
    if size % (8 * count) or size > _SQUEEZED_MAX:
        raise DecodeError(f"{name}: {size} bytes are no {count} columns, or too many")
    try:
        planes = lz4.block.decompress(data)
    except (lz4.block.LZ4BlockError, ValueError) as error:
        raise DecodeError(f"{name}: not an LZ4 block of {size} bytes") from error
    items = size // (8 * count)
    whole = np.frombuffer(planes, np.uint8).reshape(count, 8, items)
    return [np.ascontiguousarray(column.T).view(np.int64).reshape(-1) for column in whole]


def pack_columns(record: dict[str, Any], types: Mapping[str, np.dtype[Any]]) -> None:
    """Pack those fields of a record that are columns, in place."""
    for name, dtype in types.items():
        record[name] = pack(record[name], dtype)


def unpack_columns(record: dict[str, Any], types: Mapping[str, np.dtype[Any]]) -> None:
    """Unpack those fields of a record that are columns, in place; see :func:`unpack`."""
    for name, dtype in types.items():
        record[name] = unpack(record[name], dtype, name)


def same_length(columns: Mapping[str, Any], names: Iterable[str]) -> None:
    """Check that columns have one length.

    Raises
    ------
    DecodeError
        If they have not.
    """
    lengths = {name: len(columns[name]) for name in names}
    if len(set(lengths.values())) > 1:
        raise DecodeError(f"columns differ in length: {lengths}")


def check_codes(codes: Int32 | Int8, size: int, name: str) -> None:
    """Check that every code of a column points into its dictionary of ``size`` entries.

    Raises
    ------
    DecodeError
        If one does not.
    """
    if codes.size and (codes.min() < 0 or codes.max() >= size):
        raise DecodeError(f"column {name!r}: a code is outside its dictionary of {size}")


class Dictionary:
    """Gives each distinct string a code, in order of first appearance."""

    __slots__ = ("_codes",)

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._codes: dict[str, int] = {}
        for value in values:
            self.code(value)

    def code(self, value: str) -> int:
        """Return the code of ``value``, giving it one when it is new."""
        return self._codes.setdefault(value, len(self._codes))

    @property
    def values(self) -> list[str]:
        """The strings, in the order of their codes."""
        return list(self._codes)
