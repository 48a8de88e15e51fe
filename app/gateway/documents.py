"""Uploads as they are sent: read from JSON or Avro, and checked as a whole.

What is wrong with a single sample is no matter of this module: see ``validation``.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import numpy as np
import orjson

from app.errors import DecodeError, UnknownSchemaError
from app.gateway.problems import Problem
from app.settings import Settings
from schemas.codec import Codec
from schemas.columns import F64, I64, Float64, Int64, unpack

DEVICE_LENGTH: Final = 64
SOURCE_LENGTH: Final = 64
ERRORS_SHOWN: Final = 20
"""Most errors that one answer lists."""

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_UPLOAD_KEYS: Final = frozenset({"upload_id", "user_id", "device_id", "source", "series"})
_SERIES_KEYS: Final = frozenset({"metric", "unit", "times", "values"})

Times = Sequence[object] | Int64
Values = Sequence[object] | Float64
Errors = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class SeriesDocument:
    """A series as it was sent: lists from JSON, arrays from Avro."""

    metric: str
    unit: str
    times: Times
    values: Values


@dataclass(frozen=True, slots=True)
class UploadDocument:
    """An upload as it was sent; the ids are well-formed, UUIDs in lower case."""

    upload_id: UUID
    user_id: str
    device_id: str
    source: str
    series: tuple[SeriesDocument, ...]

    @property
    def samples(self) -> int:
        """How many samples it claims: the longer of times and values of each series."""
        return sum(max(len(s.times), len(s.values)) for s in self.series)


def uuid_of(text: object) -> UUID | None:
    """Return the UUID that a text writes in the usual form of 36 characters, or None."""
    return UUID(text) if isinstance(text, str) and _UUID.fullmatch(text) else None


def parse_json(data: bytes | str) -> object:
    """Read JSON.

    Raises
    ------
    Problem
        400 when it is none; numbers beyond the range of a double are no JSON here.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise Problem("malformed", f"Not valid JSON at {place}: {error.msg}.") from error


def upload_of_json(document: object, settings: Settings) -> UploadDocument:
    """Check the structure of an upload that was read from JSON.

    Raises
    ------
    Problem
        422 with a pointer to each thing that is wrong, 413 when it has too many series or samples.
    """
    return _upload(document, settings)


def upload_of_avro(data: bytes, codec: Codec, settings: Settings) -> UploadDocument:
    """Read an upload in the wire format, of schema ``upload``.

    Raises
    ------
    Problem
        400 when the bytes are none, 422 and 413 as for JSON.
    """
    try:
        record = codec.decode("upload", data)
        for series in record["series"]:
            series["times"] = unpack(series["times"], I64, "times")
            series["values"] = unpack(series["values"], F64, "values")
    except (DecodeError, UnknownSchemaError) as error:
        raise Problem("malformed", f"Not an Avro upload: {error}.") from error
    return _upload(record, settings)


def _upload(document: object, settings: Settings) -> UploadDocument:
    if not isinstance(document, dict):
        raise Problem("invalid", "An upload is an object.", errors=[("", "is no object")])
    errors: Errors = []
    _known(document, _UPLOAD_KEYS, "", errors)
    upload_id, user_id = uuid_of(document.get("upload_id")), uuid_of(document.get("user_id"))
    if upload_id is None:
        errors.append(("/upload_id", "must be a UUID in the form of 36 characters"))
    if user_id is None:
        errors.append(("/user_id", "must be a UUID in the form of 36 characters"))
    device_id = _name(document.get("device_id"), DEVICE_LENGTH, "/device_id", errors)
    source = _name(document.get("source", "unknown"), SOURCE_LENGTH, "/source", errors)
    series = _all_series(document.get("series"), settings, errors)
    if errors or upload_id is None or user_id is None:
        raise Problem("invalid", "The upload is not valid.", errors=errors[:ERRORS_SHOWN])
    upload = UploadDocument(upload_id, str(user_id), device_id, source, series)
    if upload.samples > settings.max_samples_per_upload:
        raise Problem("too-large", f"An upload may have {settings.max_samples_per_upload} samples.")
    return upload


def _all_series(found: object, settings: Settings, errors: Errors) -> tuple[SeriesDocument, ...]:
    if not isinstance(found, list) or not found:
        errors.append(("/series", "must be an array of at least one series"))
        return ()
    if len(found) > settings.max_series_per_upload:
        raise Problem("too-large", f"An upload may have {settings.max_series_per_upload} series.")
    return tuple(_series(one, f"/series/{n}", errors) for n, one in enumerate(found))


def _series(found: object, pointer: str, errors: Errors) -> SeriesDocument:
    if not isinstance(found, dict):
        errors.append((pointer, "must be an object"))
        return SeriesDocument("", "", (), ())
    _known(found, _SERIES_KEYS, pointer, errors)
    for key in ("metric", "unit"):
        if not isinstance(found.get(key), str):
            errors.append((f"{pointer}/{key}", "must be a string"))
    for key in ("times", "values"):
        if not isinstance(found.get(key), list | np.ndarray):
            errors.append((f"{pointer}/{key}", "must be an array"))
    return SeriesDocument(
        found.get("metric", ""),
        found.get("unit", ""),
        found.get("times", ()),
        found.get("values", ()),
    )


def _known(found: dict[str, Any], keys: frozenset[str], pointer: str, errors: Errors) -> None:
    for key in found.keys() - keys:
        name = key[:DEVICE_LENGTH].replace("~", "~0").replace("/", "~1")
        errors.append((f"{pointer}/{name}", "is not a member of this object"))


def _name(found: object, longest: int, pointer: str, errors: Errors) -> str:
    if (
        isinstance(found, str)
        and 1 <= len(found) <= longest
        and found.isprintable()
        and found.strip() == found
    ):
        return found
    errors.append((pointer, f"must be 1 to {longest} printable characters"))
    return ""
