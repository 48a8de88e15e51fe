"""Compression of HTTP bodies (``Content-Encoding``): gzip, deflate, zstd and lz4, in pieces."""

import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

import lz4.frame
from backports import zstd

from app.embedded.clickhouse.framing import FrameDecoder, FrameEncoder
from app.errors import QueryError

_PIECE_BYTES = 1 << 20
_GZIP_BITS = zlib.MAX_WBITS | 16


class Decoder(Protocol):
    """Turns a compressed body, in pieces of any size, into bytes."""

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Yield what ``data`` adds, in bounded pieces."""

    def finish(self) -> object:
        """Raise unless the body was complete."""


class Encoder(Protocol):
    """Compresses a body piece by piece."""

    def encode(self, data: bytes) -> bytes:
        """Return what is ready."""

    def finish(self) -> bytes:
        """Return the rest."""


class Identity:
    """No compression."""

    def encode(self, data: bytes) -> bytes:
        """Return ``data``."""
        return data

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Yield ``data``."""
        yield data

    def finish(self) -> bytes:
        """Return nothing."""
        return b""


class _Inflate:
    """gzip or deflate."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._inflate = zlib.decompressobj(bits)

    def decode(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._inflate.eof:  # several members make one body
                self._inflate = zlib.decompressobj(self._bits)
            try:
                yield self._inflate.decompress(data, _PIECE_BYTES)
            except zlib.error as error:
                raise _broken(str(error)) from None
            data = self._inflate.unconsumed_tail or self._inflate.unused_data

    def finish(self) -> None:
        if not self._inflate.eof:
            raise _broken("it is cut off")


class _Frames:
    """zstd or lz4: both have the interface of the standard library's decompressors."""

    def __init__(self, make: Callable[[], zstd.ZstdDecompressor]) -> None:
        self._make = make
        self._frame = make()

    def decode(self, data: bytes) -> Iterator[bytes]:
        while data or not (self._frame.needs_input or self._frame.eof):
            if self._frame.eof:
                self._frame = self._make()
            try:
                piece = self._frame.decompress(data, max_length=_PIECE_BYTES)
            except (RuntimeError, zstd.ZstdError) as error:  # lz4 raises the former
                raise _broken(str(error)) from None
            yield piece
            data = (self._frame.unused_data or b"") if self._frame.eof else b""

    def finish(self) -> None:
        if not self._frame.eof:
            raise _broken("it is cut off")


class _Deflate:
    def __init__(self, bits: int) -> None:
        self._deflate = zlib.compressobj(1, zlib.DEFLATED, bits)

    def encode(self, data: bytes) -> bytes:
        return self._deflate.compress(data)

    def finish(self) -> bytes:
        return self._deflate.flush()


class _Zstd:
    def __init__(self) -> None:
        self._compressor = zstd.ZstdCompressor(1)

    def encode(self, data: bytes) -> bytes:
        return bytes(self._compressor.compress(data))

    def finish(self) -> bytes:
        return bytes(self._compressor.flush())


class _Lz4:
    def __init__(self) -> None:
        self._compressor = lz4.frame.LZ4FrameCompressor(block_linked=False)
        self._begun = False

    def encode(self, data: bytes) -> bytes:
        begin = b"" if self._begun else self._compressor.begin()
        self._begun = True
        return bytes(begin + self._compressor.compress(data))

    def finish(self) -> bytes:
        return self.encode(b"") + bytes(self._compressor.flush())


_DECODERS: dict[str, Callable[[], Decoder]] = {
    "": Identity,
    "identity": Identity,
    "gzip": lambda: _Inflate(_GZIP_BITS),
    "deflate": lambda: _Inflate(zlib.MAX_WBITS),
    "zstd": lambda: _Frames(zstd.ZstdDecompressor),
    "lz4": lambda: _Frames(lz4.frame.LZ4FrameDecompressor),
}
_ENCODERS: dict[str, Callable[[], Encoder]] = {  # the best first
    "lz4": _Lz4,
    "zstd": _Zstd,
    "gzip": lambda: _Deflate(_GZIP_BITS),
    "deflate": lambda: _Deflate(zlib.MAX_WBITS),
}


class Chain:
    """HTTP compression around ClickHouse's own."""

    def __init__(self, outer: Decoder, inner: Decoder) -> None:
        self._outer, self._inner = outer, inner

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Yield what both make of ``data``."""
        for piece in self._outer.decode(data):
            yield from self._inner.decode(piece)

    def finish(self) -> None:
        """Raise unless the body was complete."""
        self._outer.finish()
        self._inner.finish()


def decoder(content_encoding: str, *, framed: bool) -> Decoder:
    """Return the decoder of a request's body.

    Parameters
    ----------
    content_encoding
        The header's value; empty when there is none.
    framed
        Whether the body is in ClickHouse's own blocks (``decompress=1``).

    Raises
    ------
    QueryError
        When the encoding is not known.
    """
    make = _DECODERS.get(content_encoding.strip().lower())
    if make is None:
        message = f"Unknown Content-Encoding; known are {', '.join(_ENCODERS)}"
        raise QueryError(89, "UNKNOWN_COMPRESSION_METHOD", message)
    return Chain(make(), FrameDecoder()) if framed else make()


def encoder(accept_encoding: str, *, framed: bool) -> tuple[str, Encoder]:
    """Return the Content-Encoding of a response (may be empty) and its encoder."""
    if framed:
        return "", FrameEncoder()
    accepted = {
        name.strip().lower()
        for name, _, quality in (part.partition(";") for part in accept_encoding.split(","))
        if quality.replace(" ", "") not in {"q=0", "q=0.0"}
    }
    for name, make in _ENCODERS.items():
        if name in accepted:
            return name, make()
    return "", Identity()


def _broken(why: str) -> QueryError:
    return QueryError(271, "CANNOT_DECOMPRESS", f"The request's body cannot be decompressed: {why}")
