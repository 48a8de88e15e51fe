"""Output formats: their content types, and which results can be sent block by block.

The engine's stream gives every block as a document of its own. For the formats here the documents
become one when the header of all but the first (and for Arrow the end mark of all but the last) is
cut off.
"""

import struct
from collections.abc import Callable

_JSON, _TSV = "application/json; charset=UTF-8", "text/tab-separated-values; charset=UTF-8"
_CONTENT_TYPES = {
    "json": _JSON,
    "jsoncompact": _JSON,
    "jsonstrings": _JSON,
    "jsoncompactstrings": _JSON,
    "jsoncolumns": _JSON,
    "jsoneachrow": "application/x-ndjson; charset=UTF-8",
    "jsoncompacteachrow": "application/x-ndjson; charset=UTF-8",
    "csv": "text/csv; charset=UTF-8; header=absent",
    "csvwithnames": "text/csv; charset=UTF-8; header=present",
    "csvwithnamesandtypes": "text/csv; charset=UTF-8; header=present",
    "tsv": _TSV,
    "tabseparated": _TSV,
    "tsvwithnames": _TSV,
    "tabseparatedwithnames": _TSV,
    "xml": "application/xml; charset=UTF-8",
    "pretty": "text/plain; charset=UTF-8",
}

_ARROW_END = struct.pack("<Ii", 0xFFFFFFFF, 0)


def content_type(output_format: str) -> str:
    """Return the Content-Type of a format."""
    return _CONTENT_TYPES.get(output_format.lower(), "application/octet-stream")


def _lines(count: int) -> Callable[[bytes], int]:
    def measure(data: bytes) -> int:
        end = 0
        for _ in range(count):
            end = data.index(b"\n", end) + 1
        return end

    return measure


def _csv_lines(count: int) -> Callable[[bytes], int]:
    """Lines may go on inside of quotes."""

    def measure(data: bytes) -> int:
        end = start = 0
        for _ in range(count):
            end = data.index(b"\n", start) + 1
            while data.count(b'"', start, end) % 2:
                end = data.index(b"\n", end) + 1
            start = end
        return end

    return measure


def _row_binary(strings_per_column: int) -> Callable[[bytes], int]:
    def measure(data: bytes) -> int:
        columns, position = _varint(data, 0)
        for _ in range(columns * strings_per_column):
            size, position = _varint(data, position)
            position += size
        return position

    return measure


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position


def _arrow_schema(data: bytes) -> int:
    """Return the size of the first message, which has no body."""
    _, size = struct.unpack_from("<Ii", data)
    return 8 + int(size)


def _none(_: bytes) -> int:
    return 0


_HEADERS: dict[str, Callable[[bytes], int]] = {
    "native": _none,
    "rowbinary": _none,
    "rowbinarywithnames": _row_binary(1),
    "rowbinarywithnamesandtypes": _row_binary(2),
    "arrowstream": _arrow_schema,
    "jsoneachrow": _none,
    "jsonlines": _none,
    "ndjson": _none,
    "jsonstringseachrow": _none,
    "jsoncompacteachrow": _none,
    "jsoncompactstringseachrow": _none,
    "jsoncompacteachrowwithnames": _lines(1),
    "jsoncompacteachrowwithnamesandtypes": _lines(2),
    "csv": _none,
    "csvwithnames": _csv_lines(1),
    "csvwithnamesandtypes": _csv_lines(2),
}
for _family in ("tsv", "tabseparated"):
    for _raw in ("", "raw"):
        _HEADERS[f"{_family}{_raw}"] = _none
    _HEADERS[f"{_family}withnames"] = _lines(1)
    _HEADERS[f"{_family}withnamesandtypes"] = _lines(2)


def is_streamable(output_format: str) -> bool:
    """Whether the blocks of a result in this format can be joined."""
    return output_format.lower() in _HEADERS


class Joiner:
    """Joins the documents of a stream's blocks to one.

    Parameters
    ----------
    output_format
        A streamable format.
    """

    def __init__(self, output_format: str) -> None:
        self._header = _HEADERS[output_format.lower()]
        self._end = _ARROW_END if output_format.lower() == "arrowstream" else b""
        self._begun = False

    def join(self, data: bytes, rows: int) -> bytes:
        """Return what a block adds; the block without rows is the last one."""
        if rows == 0 and self._begun:
            return self._end
        start = self._header(data) if self._begun else 0
        self._begun = True
        if rows and self._end:
            return data[start : -len(self._end)]
        return data[start:]
