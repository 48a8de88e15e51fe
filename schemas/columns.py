"""Packed little-endian columns: how samples travel inside Avro ``bytes``."""

from collections.abc import Iterable, Sequence

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

I8, I32, I64, U64, F64 = (np.dtype(code) for code in ("<i1", "<i4", "<i8", "<u8", "<f8"))
UUID = np.dtype("V16")


def unpack(data: bytes, dtype: np.dtype[np.generic], name: str) -> NDArray[np.generic]:
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


def pack(values: NDArray[np.generic] | Sequence[int | float], dtype: np.dtype[np.generic]) -> bytes:
    """Write a column as packed little-endian bytes."""
    return np.ascontiguousarray(values, dtype=dtype).tobytes()


def check_codes(codes: Int32, size: int, name: str) -> None:
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
