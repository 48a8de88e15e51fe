"""Reading a request body: bounded in size, in time and in what it may inflate to."""

import asyncio
import zlib
from typing import Final

from aiohttp import web
from backports import zstd

from app.gateway.limits import Share
from app.gateway.problems import Problem

READ_SECONDS: Final = 30.0
"""Longest time that a client may take to send its body."""

ENCODINGS: Final = ("identity", "gzip", "zstd")
_ZSTD_WINDOW_LOG: Final = 23  # 8 MiB, what RFC 9659 asks every decoder of HTTP to accept


async def body_of(request: web.Request, limit: int, share: Share) -> bytes:
    """Read a body, inflated; its bytes are taken from ``share``, which its owner releases.

    Parameters
    ----------
    request : aiohttp.web.Request
        From a server with ``auto_decompress=False``.
    limit : int
        Most bytes, as sent and inflated.
    share : Share
        Of the process's budget.

    Raises
    ------
    Problem
        400 for damaged compression, 408, 413, or 415 for an unknown content encoding.
    OverloadedError
        If the budget is used up.
    """
    encoding = request.headers.get("Content-Encoding")
    if encoding is not None and (encoding := encoding.strip().lower()) not in ENCODINGS:
        raise Problem(
            "unsupported-media-type",
            f"The content encoding must be one of {', '.join(ENCODINGS)}.",
            headers={"Accept-Encoding": ", ".join(ENCODINGS)},
        )
    if request.content_length is not None and request.content_length > limit:
        raise _too_large(limit)
    if request.content.is_eof():  # it came with the headers, as most uploads do: no wait, no timer
        content = request.content.read_nowait()
        if len(content) > limit:
            raise _too_large(limit)
        share.take(len(content))
    else:
        content = await _received(request, limit, share)
    if encoding is not None and encoding != "identity":
        content = inflate(content, encoding, limit)
        share.take(len(content))
    return content


async def _received(request: web.Request, limit: int, share: Share) -> bytes:
    """Read a body that is still under way."""
    body = bytearray()
    try:
        async with asyncio.timeout(READ_SECONDS):
            async for chunk in request.content.iter_any():
                if len(body) + len(chunk) > limit:
                    raise _too_large(limit)
                share.take(len(chunk))
                body += chunk
    except TimeoutError as error:
        raise Problem("timeout", f"No whole body within {READ_SECONDS:g} s.") from error
    return bytes(body)


def inflate(data: bytes, encoding: str, limit: int) -> bytes:
    """Inflate a gzip or zstd body to at most ``limit`` bytes; no more than that is ever made.

    Raises
    ------
    Problem
        413 when it is larger, 400 when it is damaged, cut short, or followed by other bytes.
    """
    decoder: zlib._Decompress | zstd.ZstdDecompressor
    if encoding == "gzip":
        decoder = zlib.decompressobj(wbits=31)
    else:
        decoder = zstd.ZstdDecompressor(
            options={zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
        )
    try:
        content = decoder.decompress(data, limit + 1)
    except (zlib.error, zstd.ZstdError) as error:
        raise Problem("malformed", f"The body is not valid {encoding}.") from error
    if len(content) > limit:
        raise _too_large(limit)
    if not decoder.eof:
        raise Problem("malformed", f"The {encoding} body is cut short.")
    if decoder.unused_data:
        raise Problem("malformed", f"Bytes follow the {encoding} stream.")
    return content


def _too_large(limit: int) -> Problem:
    return Problem("too-large", f"A body may have {limit} bytes, also after inflation.")
