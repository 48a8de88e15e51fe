"""ClickHouse's own compressed blocks (``compress=1`` and ``decompress=1``).

A block is a CityHash128 of the rest (16 bytes), a method byte (0x82 LZ4, 0x90 ZSTD, 0x02 none), the
compressed size with these nine bytes, the raw size, and the data; integers are little-endian.
"""

import struct
from collections.abc import Iterator

import lz4.block
from backports import zstd
from clickhouse_cityhash.cityhash import CityHash128

from app.errors import QueryError

_LZ4, _ZSTD, _NONE = 0x82, 0x90, 0x02
_CHECKSUM, _HEADER = struct.Struct("<QQ"), struct.Struct("<BII")
_BLOCK_BYTES = 1 << 20
_MAX_BLOCK_BYTES = 64 << 20  # larger than any client's, small enough to hold
_LOW = (1 << 64) - 1


def _checksum(data: bytes) -> bytes:
    value = CityHash128(data)
    return _CHECKSUM.pack(value >> 64, value & _LOW)


class FrameEncoder:
    """Turns bytes into LZ4 blocks."""

    def encode(self, data: bytes) -> bytes:
        """Return ``data`` as whole blocks."""
        blocks = []
        for start in range(0, len(data), _BLOCK_BYTES):
            raw = data[start : start + _BLOCK_BYTES]
            packed = lz4.block.compress(raw, store_size=False)
            block = _HEADER.pack(_LZ4, len(packed) + _HEADER.size, len(raw)) + packed
            blocks += [_checksum(block), block]
        return b"".join(blocks)

    def finish(self) -> bytes:
        """Return nothing: blocks need no end mark."""
        return b""


class FrameDecoder:
    """Turns blocks, in pieces of any size, into bytes."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Yield the content of every block that is complete.

        Raises
        ------
        QueryError
            When a checksum is wrong, the method unknown or a block too large.
        """
        self._buffer += data
        while len(self._buffer) >= _CHECKSUM.size + _HEADER.size:
            method, packed, raw = _HEADER.unpack_from(self._buffer, _CHECKSUM.size)
            if not _HEADER.size <= packed <= _MAX_BLOCK_BYTES or raw > _MAX_BLOCK_BYTES:
                raise QueryError(271, "CANNOT_DECOMPRESS", "A compressed block is too large")
            end = _CHECKSUM.size + packed
            if len(self._buffer) < end:
                return
            block = bytes(self._buffer[_CHECKSUM.size : end])
            if _checksum(block) != self._buffer[: _CHECKSUM.size]:
                raise QueryError(40, "CHECKSUM_DOESNT_MATCH", "Checksum doesn't match")
            del self._buffer[:end]
            yield _unpack(method, block[_HEADER.size :], raw)

    def finish(self) -> None:
        """Raise unless the last block was complete."""
        if self._buffer:
            raise QueryError(271, "CANNOT_DECOMPRESS", "The last compressed block is not complete")


def _unpack(method: int, packed: bytes, size: int) -> bytes:
    try:
        if method == _LZ4:
            data = lz4.block.decompress(packed, uncompressed_size=size)
        elif method == _ZSTD:
            data = zstd.ZstdDecompressor().decompress(packed, max_length=size)
        elif method == _NONE:
            data = packed
        else:
            message = f"Unknown compression method 0x{method:02x}"
            raise QueryError(89, "UNKNOWN_COMPRESSION_METHOD", message)
    except (lz4.block.LZ4BlockError, zstd.ZstdError) as error:
        raise QueryError(271, "CANNOT_DECOMPRESS", str(error)) from None
    if len(data) != size:
        raise QueryError(271, "CANNOT_DECOMPRESS", "A compressed block has another size than said")
    return bytes(data)
